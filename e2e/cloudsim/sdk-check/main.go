// sdk-check drives cloudsim with clients that others wrote: the official SDKs of Alibaba Cloud, in their
// RPC style and in their newer one. It fails when one of them notices a difference, and can record the
// signed requests as test vectors.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	binary := flag.String("cloudsim", "../../../target/debug/cloudsim", "the simulator")
	world := flag.String("world", "../worlds/small.yaml", "its world")
	python := flag.String("python", "", "a Python interpreter with the SDKs of requirements.txt, to drive those too")
	vectors := flag.String("record", "", "folder for the recorded requests")
	flag.Parse()
	if err := run(*binary, *world, *python, *vectors); err != nil {
		fmt.Fprintln(os.Stderr, "sdk-check:", err)
		os.Exit(1)
	}
}

func run(binary, world, python, vectors string) error {
	cloud, err := startCloudsim(binary, world)
	if err != nil {
		return err
	}
	defer cloud.stop()
	recorder, err := startRecorder(cloud.openapi)
	if err != nil {
		return err
	}
	defer recorder.stop()

	clients := []struct {
		name string
		open func(address string, keys keys) (client, error)
	}{
		{"go-rpc", openRPC},
		{"go-tea", openTea},
		{"go-tea-form", openTeaForm},
		{"go-tea-rpc", openTeaRPC},
	}
	for _, each := range clients {
		recorder.begin(each.name)
		begun := time.Now()
		if err := check(each.name, recorder.address, each.open); err != nil {
			return fmt.Errorf("%s: %w", each.name, err)
		}
		fmt.Printf("%-12s %3d calls in %v\n", each.name, recorder.count(), time.Since(begun).Round(time.Millisecond))
	}
	if python != "" {
		for _, name := range []string{"python-rpc", "python-tea"} {
			recorder.begin(name)
			child := exec.Command(python, "check.py", name, recorder.address)
			child.Stdout, child.Stderr = os.Stdout, os.Stderr
			if err := child.Run(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			fmt.Printf("%-12s %3d calls\n", name, recorder.count())
		}
	}
	if vectors == "" {
		return nil
	}
	return recorder.write(vectors)
}

// cloudsim is a simulator that this program started.
type cloudsim struct {
	openapi string
	process *exec.Cmd
	world   string
}

// startCloudsim starts the simulator with a world in which nothing takes time.
func startCloudsim(binary, world string) (*cloudsim, error) {
	text, err := os.ReadFile(world)
	if err != nil {
		return nil, err
	}
	quick, _, _ := strings.Cut(string(text), "\nlatency:")
	file := filepath.Join(os.TempDir(), fmt.Sprintf("sdk-check-%d.yaml", os.Getpid()))
	if err := os.WriteFile(file, []byte(quick+"\n"), 0o600); err != nil {
		return nil, err
	}
	process := exec.Command(binary, "--world", file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	process.Stderr = os.Stderr
	output, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s (cargo build -p cloudsim makes it): %w", binary, err)
	}
	cloud := &cloudsim{process: process, world: file}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		cloud.stop()
		return nil, fmt.Errorf("cloudsim did not become ready: %w", err)
	}
	_, rest, _ := strings.Cut(line, "http://")
	cloud.openapi, _, _ = strings.Cut(rest, ",")
	if _, _, err := net.SplitHostPort(cloud.openapi); err != nil {
		cloud.stop()
		return nil, fmt.Errorf("cannot find the address in %q", line)
	}
	return cloud, nil
}

func (c *cloudsim) stop() {
	_ = c.process.Process.Signal(os.Interrupt)
	_ = c.process.Wait()
	_ = os.Remove(c.world)
}
