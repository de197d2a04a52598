package handle

import (
	"testing"

	"example.com/shop/worker/gen"
)

func TestAPaidOrderIsPacked(t *testing.T) {
	if got := next(gen.OrderPaid); got != "pack the order" {
		t.Errorf("got %q", got)
	}
}
