package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// peers is `bench peers`. What is missing on this machine is named and left out.
func peers(ctx context.Context, args []string) error {
	c := comparison{title: "usher's CPU time a request against that of its peers: the median of the rounds' ratios, and their range"}
	f := flag.NewFlagSet("bench peers", flag.ContinueOnError)
	f.IntVar(&c.Seconds, "seconds", 2, "length of a measurement, in `seconds`")
	f.IntVar(&c.Rounds, "rounds", 5, "how `often` each is measured")
	f.IntVar(&c.Conns, "conns", 64, "`connections` of the load")
	list := f.String("work", allWorks(), "kinds of `work`")
	bin := f.String("bin", "bin", "`folder` of usher-proxy")
	out := f.String("json", "", "write the figures to a `file`")
	if err := parse(f, args); err != nil {
		return err
	}
	if c.Seconds < 1 || c.Rounds < 1 || c.Conns < 1 {
		return errors.New("-seconds, -rounds and -conns are at least 1")
	}
	picked, err := pick(*list)
	if err != nil {
		return err
	}
	if why := lacks(ctx); why != "" {
		fmt.Printf("the comparison with peers is left out: %s\n", why)
		return nil
	}
	err = c.run(ctx, picked, *bin)
	c.Budgets = judge(c.rounds)
	c.print(os.Stdout)
	if *out != "" {
		text, jerr := json.MarshalIndent(c, "", "  ")
		if jerr != nil {
			return jerr
		}
		err = errors.Join(err, os.WriteFile(*out, append(text, '\n'), 0o644))
	}
	return err
}

// lacks says what the whole comparison needs and this machine does not have.
func lacks(ctx context.Context) string {
	if runtime.GOOS != "linux" {
		return "processor time is read from Linux's /proc"
	}
	for _, program := range []string{"taskset", "nginx", "wrk"} {
		if _, err := find(program); err != nil {
			return err.Error()
		}
	}
	for _, cpu := range []int{proxyCPU, loadCPU} {
		argv := pinned(cpu, "true")
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Sprintf("CPU %d is not to be had: %s", cpu, lastLine(out))
		}
	}
	return ""
}
