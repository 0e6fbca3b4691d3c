package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// The ports to choose from lie below those that Linux gives to outgoing
// connections (32768 on), so that no connection of the load sits on one.
const lowestPort, highestPort = 20000, 29999

// freePorts chooses a free loopback port for each name.
func freePorts(names ...string) (map[string]int, error) {
	ports := make(map[string]int, len(names))
	const tries = 1000
	for range tries {
		if len(ports) == len(names) {
			return ports, nil
		}
		p := lowestPort + rand.IntN(highestPort-lowestPort+1)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			continue
		}
		// Held until all are chosen, so that none is chosen twice.
		defer l.Close()
		ports[names[len(ports)]] = p
	}
	return nil, errors.New("no free loopback ports")
}
