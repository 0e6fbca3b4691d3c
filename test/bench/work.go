package main

import (
	"fmt"
	"strings"
)

// work is one kind of load.
type work struct {
	name     string
	listener string // of the proxies: the name of its port
	file     string // of the site, instead of the proxy's usual one
	path     string // without the first slash
	script   string // for wrk; "": GETs without a script
	token    token
	host     string // instead of the listener's address
	refusal  int    // status of a request without a token, if it is not 401
}

// token says what a request carries.
type token int

const (
	noToken   token = iota
	oneToken        // the same in every request
	allTokens       // one after another
)

// works in the order in which they are done and printed.
var works = []work{
	{name: "plain", listener: "plain"},
	{name: "headers", listener: "plain", script: "headers.lua"},
	{name: "post", listener: "plain", script: "post.lua"},
	{name: "jwt", listener: "jwt", script: "jwt.lua", token: allTokens},
	{name: "jwt-cache", listener: "jwt-cache", token: oneToken},
	{name: "mesh", listener: "mesh"},
	{name: "configured", listener: "configured", file: "configured.json", token: oneToken, host: configuredHost, refusal: 403},
	{name: "h2", listener: "h2", file: "bootstrap-h2.json"},
}

func allWorks() string {
	names := make([]string, len(works))
	for i, w := range works {
		names[i] = w.name
	}
	return strings.Join(names, ",")
}

// pick gives the works of a list of names, in their own order.
func pick(list string) ([]work, error) {
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(list, ",") {
		wanted[name] = true
	}
	var picked []work
	for _, w := range works {
		if wanted[w.name] {
			picked = append(picked, w)
			delete(wanted, w.name)
		}
	}
	for name := range wanted {
		return nil, fmt.Errorf("-work: there is no %q, only %s", name, allWorks())
	}
	return picked, nil
}

// tokensFor is how many different tokens the works need: so many rotate in work jwt
// that no cache of a usual size would hold them.
func tokensFor(picked []work) int {
	for _, w := range picked {
		if w.token == allTokens {
			return 4000
		}
	}
	return 2
}
