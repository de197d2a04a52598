// Command api takes orders.
package main

import (
	"log"
	"net/http"

	"example.com/shop/api/orders"
)

func main() {
	log.Fatal(http.ListenAndServe(":8080", orders.Handler()))
}
