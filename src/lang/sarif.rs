//! Mistakes as SARIF 2.1.0, the form that code hosts and editors read.
//! It is made of the same records as the JSON form, so that both always tell the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::lang::code::Code;
use crate::lang::explain::explanation;
use crate::lang::mistake::{Marked, Record};
use crate::lang::source::FILE_NAME;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json";

/// What all paths are relative to: the workspace, wherever it is.
const ROOT: &str = "SRCROOT";

/// One run; `more` is how many mistakes are not among the records.
pub fn sarif(records: &[Record], more: usize) -> Value {
    let used: BTreeSet<&str> = records.iter().map(|record| record.code).collect();
    let codes: Vec<Code> = Code::ALL.iter().copied().filter(|code| used.contains(code.as_str())).collect();
    let results: Vec<Value> = records.iter().map(|record| result(record, &codes)).collect();
    let mut run = json!({
        "tool": { "driver": {
            "name": "memobuild",
            "version": env!("CARGO_PKG_VERSION"),
            "rules": codes.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
        } },
        "columnKind": "utf16CodeUnits",
        "originalUriBaseIds": { ROOT: { "description": { "text": "The workspace" } } },
        "results": results,
    });
    if more > 0 {
        let text = format!("and {more} more");
        let notice = json!({ "level": "note", "message": { "text": text } });
        run["invocations"] = json!([{ "executionSuccessful": true, "toolExecutionNotifications": [notice] }]);
    }
    json!({ "$schema": SCHEMA, "version": "2.1.0", "runs": [run] })
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.as_str(),
        "shortDescription": { "text": code.meaning() },
        "fullDescription": { "text": unwrapped(explanation(code).text) },
        "help": { "text": format!("memobuild explain {}", code.as_str()) },
    })
}

/// Each paragraph as one line: whoever shows it has a width of its own.
fn unwrapped(text: &str) -> String {
    text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}

fn result(record: &Record, codes: &[Code]) -> Value {
    let index = codes.iter().position(|code| code.as_str() == record.code);
    // Code hosts refuse a result without a place.
    let nowhere = || {
        let file = json!({ "uri": FILE_NAME, "uriBaseId": ROOT });
        json!({ "physicalLocation": { "artifactLocation": file, "region": { "startLine": 1 } } })
    };
    let mut result = json!({
        "ruleId": record.code,
        "ruleIndex": index,
        "level": record.severity,
        "message": { "text": format!("{}\nhelp: {}", record.message, record.help) },
        "locations": [record.labels.first().map_or_else(nowhere, location)],
    });
    if record.labels.len() > 1 {
        result["relatedLocations"] = record.labels[1..].iter().map(location).collect();
    }
    result
}

fn location(label: &Marked) -> Value {
    json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(&label.file), "uriBaseId": ROOT },
            "region": {
                "startLine": label.line,
                "startColumn": label.utf16.0,
                "endLine": label.end_line,
                "endColumn": label.utf16.1,
            },
        },
        "message": { "text": label.text },
    })
}

/// A path as a relative URI: a `:` in its first name would be read as the end of a scheme.
fn uri(path: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(byte);
    path.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::mistake::{Findings, Mistake};
    use crate::lang::source::Sources;

    #[test]
    fn the_whole_form() {
        let mut sources = Sources::default();
        sources.add("memobuild.kdl", "memobuild 1\n");
        sources.add("dienst é/memobuild.kdl", "use 😀x 3\n");
        let base = sources.at(20).base;
        let mut findings = Findings::default();
        let mistake = Mistake::new(Code::TypeNumberForText, "a text is wanted", "\"3\"");
        findings.add(mistake.at(base + 9..base + 10, "a number").at(0..9, "expanded from here"));
        findings.add(Mistake::warning(Code::ParamUnused, "nothing uses `x`", "remove it"));
        let records = findings.finish(&sources).records();
        let json = serde_json::to_string_pretty(&sarif(&records, 7)).unwrap();
        insta::with_settings!({ snapshot_path => "cases", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!("sarif-form", json.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
        });
    }

    #[test]
    fn names_become_uris() {
        for (path, expected) in [("a/b-c_1.kdl", "a/b-c_1.kdl"), ("a b:c", "a%20b%3Ac"), ("é%", "%C3%A9%25")]
        {
            assert_eq!(uri(path), expected);
        }
    }
}
