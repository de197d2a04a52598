package answer

import (
	"net/http/httptest"
	"testing"
)

func TestVersion(t *testing.T) {
	recorder := httptest.NewRecorder()
	Handler("v1.2.3").ServeHTTP(recorder, httptest.NewRequest("GET", "/version", nil))
	if got, want := recorder.Body.String(), "{\"version\":\"v1.2.3\"}\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
