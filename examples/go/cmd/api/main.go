// Command api answers HTTP requests on port 8080.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"

	"example.com/acme/api/internal/answer"
)

// version is set by the linker.
var version = "unknown"

func main() {
	shows := flag.Bool("version", false, "print the version and exit")
	address := flag.String("listen", ":8080", "address to listen on")
	flag.Parse()
	if *shows {
		fmt.Println(version)
		return
	}
	log.Printf("api %s listens on %s", version, *address)
	log.Fatal(http.ListenAndServe(*address, answer.Handler(version)))
}
