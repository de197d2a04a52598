// Command worker is told of events, and answers what is to be done.
package main

import (
	"log"
	"net/http"

	"example.com/shop/worker/handle"
)

func main() {
	log.Fatal(http.ListenAndServe(":9090", handle.Handler()))
}
