//! The graph as flat KDL 2. Ops are written by what serde tells of them, so that no field is ever missing;
//! numbers of inputs become the references that they stand for, and what is null or empty is left out.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

use crate::graph::graph::{Export, Graph, Node, OutputRef};
use crate::graph::show::kdl_text::{block, quoted, word};
use crate::graph::show::{Shown, reference};

const INDENT: &str = "    ";

pub(super) fn document(shown: &Shown) -> String {
    let graph = shown.graph;
    let mut page = String::from("// The expanded graph, as `memobuild show` prints it: no build file.\n");
    for &id in &shown.nodes {
        page.push('\n');
        node(&mut page, graph, graph.node(id));
    }
    let default: Vec<&OutputRef> = graph.default.iter().filter(|output| shown.has(output)).collect();
    let groups = graph.groups.iter().filter_map(|group| Some((group, graph.targets.get(&group.name)?)));
    let groups = groups.filter(|(_, outputs)| outputs.iter().all(|output| shown.has(output)));
    let lines: Vec<String> = groups
        .map(|(group, outputs)| format!("group {}{}", word(&group.name), references(graph, outputs)))
        .chain(
            graph.exports.iter().filter(|export| shown.has(&export.output)).map(|export| line(graph, export)),
        )
        .chain((!default.is_empty()).then(|| format!("default{}", references(graph, default))))
        .collect();
    if !lines.is_empty() {
        page += &format!("\n{}\n", lines.join("\n"));
    }
    page
}

fn line(graph: &Graph, export: &Export) -> String {
    let path = export.path.as_ref().map(|path| format!(" path={}", quoted(&path.to_string())));
    format!(
        "export {} {}{} to={} mode={}",
        word(&export.name),
        word(&reference(graph, &export.output)),
        path.unwrap_or_default(),
        quoted(&export.to.to_string()),
        export.mode.word()
    )
}

fn references<'a>(graph: &Graph, outputs: impl IntoIterator<Item = &'a OutputRef>) -> String {
    outputs.into_iter().map(|output| format!(" {}", word(&reference(graph, output)))).collect()
}

fn node(page: &mut String, graph: &Graph, node: &Node) {
    let _ = writeln!(page, "{} {} place={} {{", word(node.kind), word(&node.name), quoted(&node.place));
    if !node.coordinate.is_empty() {
        let pairs = node.coordinate.iter().map(|(axis, value)| format!(" {}={}", word(axis), quoted(value)));
        let _ = writeln!(page, "{INDENT}coordinate{}", pairs.collect::<String>());
    }
    let _ = writeln!(page, "{INDENT}platform {}", quoted(&node.platform.to_string()));
    if let Some(doc) = &node.doc {
        let _ = writeln!(page, "{INDENT}doc {}", block(doc, INDENT));
    }
    for input in &node.inputs {
        let source = word(&reference(graph, &input.source));
        let path = input.select.path.as_ref().map(|path| format!(" path={}", quoted(&path.to_string())));
        let _ = write!(page, "{INDENT}input {} {source}{}", quoted(&input.slot), path.unwrap_or_default());
        let globs = |name: &str, globs: &[String]| {
            let texts: String = globs.iter().map(|glob| format!(" {}", quoted(glob))).collect();
            if globs.is_empty() { String::new() } else { format!(" {name}{texts};") }
        };
        let globs = globs("include", &input.select.include) + &globs("exclude", &input.select.exclude);
        page.push_str(&if globs.is_empty() { "\n".to_owned() } else { format!(" {{{globs} }}\n") });
    }
    op(page, graph, node);
    for (name, kind) in &node.outputs {
        let main = if node.main.as_ref() == Some(name) { " main=#true" } else { "" };
        let _ = writeln!(page, "{INDENT}output {} {}{main}", word(name), kind.name());
    }
    page.push_str("}\n");
}

fn op(page: &mut String, graph: &Graph, node: &Node) {
    let inputs: Vec<String> =
        node.inputs.iter().map(|input| word(&reference(graph, &input.source))).collect();
    let mut writer = Writer { page, inputs: &inputs };
    let written = serde_json::to_value(&node.op).expect("bug: ops are always JSON");
    let fields = written.get(node.op.kind()).and_then(Json::as_object);
    writer.open(&format!("op {}", node.op.kind()), fields.into_iter().flatten(), INDENT);
}

struct Writer<'a> {
    page: &'a mut String,
    /// As they are written.
    inputs: &'a [String],
}

impl Writer<'_> {
    /// A line with a block, if anything is in it.
    fn open<'v>(&mut self, line: &str, fields: impl Iterator<Item = (&'v String, &'v Json)>, indent: &str) {
        let start = self.page.len();
        let _ = writeln!(self.page, "{indent}{line} {{");
        let inside = self.page.len();
        for (name, value) in fields {
            self.field(name, value, &format!("{indent}{INDENT}"));
        }
        if self.page.len() == inside {
            self.page.truncate(start);
            let _ = writeln!(self.page, "{indent}{line}");
        } else {
            let _ = writeln!(self.page, "{indent}}}");
        }
    }

    fn field(&mut self, name: &str, value: &Json, indent: &str) {
        match value {
            _ if is_void(value) => {}
            Json::Object(fields) => self.object(name, fields, indent),
            Json::Array(values) => self.array(name, values, indent),
            Json::String(text) => self.line(name, &block(text, indent), indent),
            _ => self.line(name, &self.scalar(name, value), indent),
        }
    }

    fn line(&mut self, name: &str, rest: &str, indent: &str) {
        let _ = writeln!(self.page, "{indent}{} {rest}", word(name));
    }

    /// Plain fields as properties, the others in a block.
    fn object(&mut self, name: &str, fields: &Map<String, Json>, indent: &str) {
        let is_plain = |value: &Json| !value.is_array() && !value.is_object();
        let mut line = word(name);
        for (key, value) in fields.iter().filter(|(_, value)| is_plain(value) && !value.is_null()) {
            let _ = write!(line, " {}={}", word(key), self.scalar(key, value));
        }
        self.open(&line, fields.iter().filter(|(_, value)| !is_plain(value)), indent);
    }

    fn array(&mut self, name: &str, values: &[Json], indent: &str) {
        if let Some(pairs) = pairs(values) {
            let shown = pairs.iter().map(|(key, value)| format!("{}={}", word(key), self.scalar(key, value)));
            let shown = shown.collect::<Vec<_>>().join(" ");
            return self.line(name, &shown, indent);
        }
        if values.iter().all(|value| !value.is_array() && !value.is_object()) {
            let shown = values.iter().map(|value| self.scalar(name, value)).collect::<Vec<_>>().join(" ");
            return self.line(name, &shown, indent);
        }
        let variants: Option<Vec<_>> = values.iter().map(variant).collect();
        match variants {
            Some(variants) => {
                let _ = writeln!(self.page, "{indent}{} {{", word(name));
                for (name, value) in variants {
                    self.member(name, value, &format!("{indent}{INDENT}"));
                }
                let _ = writeln!(self.page, "{indent}}}");
            }
            None => values.iter().for_each(|value| self.member(name, value, indent)),
        }
    }

    /// Of a list, where also what is empty counts.
    fn member(&mut self, name: &str, value: &Json, indent: &str) {
        if is_void(value) {
            let _ = writeln!(self.page, "{indent}{}", word(name));
        } else {
            self.field(name, value, indent);
        }
    }

    fn scalar(&self, name: &str, value: &Json) -> String {
        let number = value.as_u64();
        match (name, number.and_then(|number| usize::try_from(number).ok())) {
            ("input" | "inputs" | "host", Some(place)) if place < self.inputs.len() => {
                self.inputs[place].clone()
            }
            ("mode", Some(mode)) => format!("0o{mode:o}"),
            _ => match value {
                Json::String(text) => quoted(text),
                Json::Bool(is_so) => format!("#{is_so}"),
                Json::Null => "#null".to_owned(),
                _ => value.to_string(),
            },
        }
    }
}

fn is_void(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Array(values) => values.is_empty(),
        Json::Object(fields) => fields.values().all(is_void),
        _ => false,
    }
}

/// `[["A", "b"], ["C", null]]`, where no key stands twice.
fn pairs(values: &[Json]) -> Option<Vec<(&str, &Json)>> {
    let pair = |value: &'_ Json| -> bool {
        matches!(value.as_array().map(Vec::as_slice), Some([Json::String(_), Json::String(_) | Json::Null]))
    };
    if !values.iter().all(pair) {
        return None;
    }
    let pairs: Vec<(&str, &Json)> =
        values.iter().filter_map(|value| Some((value.get(0)?.as_str()?, value.get(1)?))).collect();
    let keys: BTreeSet<&str> = pairs.iter().map(|(key, _)| *key).collect();
    (keys.len() == pairs.len()).then_some(pairs)
}

/// An object of a single field, as serde writes an enum.
fn variant(value: &Json) -> Option<(&String, &Json)> {
    let fields = value.as_object()?;
    if fields.len() == 1 { fields.iter().next() } else { None }
}
