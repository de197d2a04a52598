// Package handle decides what follows from an event.
package handle

import (
	"io"
	"net/http"
	"strings"

	"example.com/shop/worker/gen"
)

// Handler answers POST /events, with an event's name as the body.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /events", func(w http.ResponseWriter, r *http.Request) {
		event, err := io.ReadAll(io.LimitReader(r.Body, 1024))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, next(strings.TrimSpace(string(event)))+"\n")
	})
	return mux
}

func next(event string) string {
	switch event {
	case gen.OrderPlaced:
		return "wait for the payment"
	case gen.OrderPaid:
		return "pack the order"
	case gen.OrderSent:
		return "nothing"
	default:
		return "ignore " + event
	}
}
