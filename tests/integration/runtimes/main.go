// What a Go program does every day: goroutines that are preempted, garbage collection, a child process, and a dial.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

func main() {
	runtime.GOMAXPROCS(4)
	sums := make([]int, 64)
	var group sync.WaitGroup
	for index := range sums {
		group.Add(1)
		go func() {
			defer group.Done()
			for round := 0; round < 3_000_000; round++ {
				sums[index] = (sums[index] + round) % 1_000_003
			}
			_ = make([]byte, 1<<20)
		}()
	}
	group.Wait()
	runtime.GC()
	same := true
	for _, sum := range sums {
		same = same && sum == sums[0]
	}
	fmt.Printf("goroutines=%v\n", same)
	err := os.WriteFile("/tmp/file", []byte("text"), 0o600)
	text, _ := os.ReadFile("/tmp/file")
	fmt.Printf("files=%s %v\n", text, err)
	output, err := exec.Command("/usr/bin/echo", "spoken").Output()
	fmt.Printf("child=%s %v\n", strings.TrimSpace(string(output)), err)
	_, err = net.Dial("tcp", "127.0.0.1:9")
	fmt.Printf("dial_refused=%v\n", errors.Is(err, syscall.EAFNOSUPPORT) || strings.Contains(fmt.Sprint(err), "unsupported"))
}
