// Package orders is what the API says.
package orders

import (
	"encoding/json"
	"net/http"

	"example.com/shop/api/gen"
)

// Handler answers GET /healthz, and POST /orders with the event that an order causes.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]string{"event": gen.OrderPlaced})
	})
	return mux
}
