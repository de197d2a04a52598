// Command shared generates the events of the shop for Go and for JavaScript.
//
//	shared EVENTS GO-FILE JS-FILE
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
)

const header = "// Generated from libs/shared/events.json. DO NOT EDIT.\n\n"

type event struct {
	Name string `json:"name"`
	Doc  string `json:"doc"`
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: shared EVENTS GO-FILE JS-FILE")
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var events []event
	if err := json.Unmarshal(text, &events); err != nil {
		log.Fatal(err)
	}
	write(os.Args[2], goCode(events))
	write(os.Args[3], jsCode(events))
}

func goCode(events []event) string {
	var code strings.Builder
	code.WriteString(header + "// Package gen names the events of the shop.\npackage gen\n")
	for _, event := range events {
		fmt.Fprintf(&code, "\n// %s: %s\nconst %s = %q\n", camel(event.Name), event.Doc, camel(event.Name), event.Name)
	}
	return code.String()
}

func jsCode(events []event) string {
	var code strings.Builder
	code.WriteString(header + "export const events = {\n")
	for _, event := range events {
		fmt.Fprintf(&code, "  %q: %q,\n", event.Name, event.Doc)
	}
	code.WriteString("};\n")
	return code.String()
}

// camel makes OrderPlaced of order.placed.
func camel(name string) string {
	var result strings.Builder
	for _, part := range strings.Split(name, ".") {
		result.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return result.String()
}

func write(path, text string) {
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		log.Fatal(err)
	}
}
