package orders

import (
	"net/http/httptest"
	"testing"
)

func TestAnOrderCausesAnEvent(t *testing.T) {
	recorder := httptest.NewRecorder()
	Handler().ServeHTTP(recorder, httptest.NewRequest("POST", "/orders", nil))
	if got, want := recorder.Body.String(), "{\"event\":\"order.placed\"}\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
