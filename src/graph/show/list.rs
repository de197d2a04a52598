//! What a command line may ask for and set: targets, groups, params and axes, with their words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::graph::graph::{AxisInfo, Graph, Node, ParamInfo};
use crate::graph::show::reference;
use crate::graph::value::Type;

/// What `memobuild list --format json` prints. Fields are only added within a version.
#[derive(Debug, Serialize)]
pub struct Listing<'a> {
    version: u32,
    targets: Vec<Target<'a>>,
    groups: Vec<Group<'a>>,
    /// As one would ask for it.
    default: Vec<String>,
    params: &'a [ParamInfo],
    axes: &'a [AxisInfo],
}

#[derive(Debug, Serialize)]
struct Target<'a> {
    name: &'a str,
    kind: &'a str,
    doc: Option<&'a str>,
    place: &'a str,
    outputs: BTreeMap<&'a str, Type>,
    main: Option<&'a str>,
    /// Whether it is built when nothing is asked for.
    default: bool,
}

#[derive(Debug, Serialize)]
struct Group<'a> {
    name: &'a str,
    doc: Option<&'a str>,
    members: Vec<String>,
}

impl<'a> Listing<'a> {
    pub fn of(graph: &'a Graph) -> Listing<'a> {
        let mut is_default = vec![false; graph.nodes.len()];
        graph.default.iter().for_each(|output| is_default[output.node.0] = true);
        let nodes = graph.nodes.iter().zip(is_default);
        let targets = nodes.filter(|(node, _)| graph.targets.contains_key(&node.name));
        let groups = graph.groups.iter().map(|group| Group {
            name: &group.name,
            doc: group.doc.as_deref(),
            members: graph
                .targets
                .get(&group.name)
                .into_iter()
                .flatten()
                .map(|output| reference(graph, output))
                .collect(),
        });
        Listing {
            version: 1,
            targets: targets.map(|(node, is_default)| Target::of(node, is_default)).collect(),
            groups: groups.collect(),
            default: graph.default.iter().map(|output| reference(graph, output)).collect(),
            params: &graph.params,
            axes: &graph.axes,
        }
    }

    /// In columns, for people; what is built by default has a star.
    pub fn text(&self) -> String {
        let mut page = String::new();
        section(&mut page, "targets", self.targets.iter().map(Target::columns));
        section(&mut page, "groups", self.groups.iter().map(Group::columns));
        section(&mut page, "params", self.params.iter().map(param_columns));
        section(&mut page, "axes", self.axes.iter().map(axis_columns));
        page
    }
}

impl<'a> Target<'a> {
    fn of(node: &'a Node, is_default: bool) -> Target<'a> {
        Target {
            name: &node.name,
            kind: node.kind,
            doc: node.doc.as_deref(),
            place: &node.place,
            outputs: node.outputs.iter().map(|(name, kind)| (name.as_str(), *kind)).collect(),
            main: node.main.as_deref(),
            default: is_default,
        }
    }

    fn columns(&self) -> [String; 4] {
        let star = if self.default { "*" } else { "" };
        let others = self.outputs.keys().filter(|name| Some(**name) != self.main);
        let others: Vec<String> = others.map(|name| format!(".{name}")).collect();
        [format!("{star:1} {}", self.name), self.kind.to_owned(), others.join(" "), words(self.doc)]
    }
}

impl Group<'_> {
    fn columns(&self) -> [String; 4] {
        [format!("  {}", self.name), self.members.join(" "), String::new(), words(self.doc)]
    }
}

fn param_columns(param: &ParamInfo) -> [String; 4] {
    let package = if param.package.is_empty() { String::new() } else { format!("{}:", param.package) };
    let mut values = match &param.default {
        Some(default) => format!("= {}", default.join(" ")),
        None => "must be set".to_owned(),
    };
    if !param.values.is_empty() {
        let _ = write!(values, "  ({})", param.values.join(", "));
    }
    if let Some(variable) = &param.env {
        let _ = write!(values, "  from ${variable}");
    }
    [format!("  {package}{}", param.name), param.kind_of_value.clone(), values, words(param.doc.as_deref())]
}

fn axis_columns(axis: &AxisInfo) -> [String; 4] {
    [format!("  {}", axis.name), axis.values.join(" "), String::new(), words(axis.doc.as_deref())]
}

fn words(doc: Option<&str>) -> String {
    doc.map(|doc| doc.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default()
}

/// Nothing where there are no rows.
fn section(page: &mut String, title: &str, rows: impl Iterator<Item = [String; 4]>) {
    let rows: Vec<[String; 4]> = rows.collect();
    if rows.is_empty() {
        return;
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let _ = writeln!(page, "{}{title}", if page.is_empty() { "" } else { "\n" });
    for row in &rows {
        let mut line = String::from("  ");
        for (text, width) in row.iter().zip(widths.into_iter().chain([0])) {
            if width > 0 || !text.is_empty() {
                let _ = write!(line, "{text:width$}  ");
            }
        }
        let _ = writeln!(page, "{}", line.trim_end());
    }
}
