//! What a command line may ask for and set: targets, groups, params and axes, with their words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use crate::base::tree_path::TreePath;
use crate::graph::graph::{
    AxisInfo, Export, ExportMode, Graph, GroupInfo, Node, NodeId, OutputRef, ParamInfo,
};
use crate::graph::select;
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
    exports: Vec<Exported<'a>>,
    params: Vec<&'a ParamInfo>,
    axes: &'a [AxisInfo],
}

#[derive(Debug, Serialize)]
struct Target<'a> {
    name: &'a str,
    kind: &'a str,
    /// Where it stands in a matrix: all values of its axes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    coordinates: Vec<&'a BTreeMap<String, String>>,
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
    /// The members without their coordinates.
    #[serde(skip)]
    shown: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Exported<'a> {
    name: &'a str,
    doc: Option<&'a str>,
    /// What is exported.
    source: String,
    /// From the workspace's root.
    to: &'a TreePath,
    mode: ExportMode,
}

impl<'a> Listing<'a> {
    pub fn of(graph: &'a Graph) -> Listing<'a> {
        Listing::among(graph, &graph.ids().collect())
    }

    /// Of those nodes, and of the packages that they lie in.
    pub fn among(graph: &'a Graph, nodes: &BTreeSet<NodeId>) -> Listing<'a> {
        let has = |output: &OutputRef| nodes.contains(&output.node);
        let packages: BTreeSet<&str> = nodes.iter().map(|id| package(&graph.node(*id).name)).collect();
        let groups = graph.groups.iter().filter_map(|group| {
            let outputs = graph.targets.get(&group.name)?;
            outputs.iter().all(has).then(|| Group::of(graph, group, outputs))
        });
        Listing {
            version: 1,
            targets: targets(graph, nodes),
            groups: groups.collect(),
            exports: graph
                .exports
                .iter()
                .filter(|export| has(&export.output))
                .map(|export| Exported::of(graph, export))
                .collect(),
            default: graph
                .default
                .iter()
                .filter(|output| has(output))
                .map(|output| reference(graph, output))
                .collect(),
            params: graph.params.iter().filter(|param| packages.contains(param.package.as_str())).collect(),
            axes: &graph.axes,
        }
    }

    /// In columns, for people; what is built by default has a star.
    pub fn text(&self) -> String {
        let mut page = String::new();
        section(&mut page, "targets", self.targets.iter().map(Target::columns));
        section(&mut page, "groups", self.groups.iter().map(Group::columns));
        section(&mut page, "exports", self.exports.iter().map(Exported::columns));
        section(&mut page, "params", self.params.iter().map(|param| param_columns(param)));
        section(&mut page, "axes", self.axes.iter().map(axis_columns));
        page
    }
}

/// Each once, whatever its coordinates, in the order of the files.
fn targets<'a>(graph: &'a Graph, nodes: &BTreeSet<NodeId>) -> Vec<Target<'a>> {
    let default: BTreeSet<NodeId> = graph.default.iter().map(|output| output.node).collect();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut targets: Vec<Target<'a>> = Vec::new();
    for &id in nodes {
        let node = graph.node(id);
        let Some(name) = select::target_of(graph, node) else { continue };
        let place = *places.entry(name).or_insert_with(|| {
            targets.push(Target::of(name, node));
            targets.len() - 1
        });
        targets[place].default |= default.contains(&id);
        if !node.coordinate.is_empty() {
            targets[place].coordinates.push(&node.coordinate);
        }
    }
    targets
}

/// `//services/api` of `//services/api:app`.
fn package(name: &str) -> &str {
    if name.starts_with("//") { name.split(':').next().unwrap_or_default() } else { "" }
}

impl<'a> Target<'a> {
    fn of(name: &'a str, node: &'a Node) -> Target<'a> {
        Target {
            name,
            kind: node.kind,
            coordinates: Vec::new(),
            doc: node.doc.as_deref(),
            place: &node.place,
            outputs: node.outputs.iter().map(|(name, kind)| (name.as_str(), *kind)).collect(),
            main: node.main.as_deref(),
            default: false,
        }
    }

    fn columns(&self) -> [String; 4] {
        let star = if self.default { "*" } else { "" };
        let others = self.outputs.keys().filter(|name| Some(**name) != self.main);
        let others: Vec<String> = others.map(|name| format!(".{name}")).collect();
        let axes: BTreeSet<&String> =
            self.coordinates.iter().flat_map(|coordinate| coordinate.keys()).collect();
        let axes: Vec<&str> = axes.into_iter().map(String::as_str).collect();
        let axes = if axes.is_empty() { String::new() } else { format!("[{}]", axes.join(",")) };
        [format!("{star:1} {}{axes}", self.name), self.kind.to_owned(), others.join(" "), words(self.doc)]
    }
}

impl<'a> Group<'a> {
    fn of(graph: &'a Graph, group: &'a GroupInfo, outputs: &[OutputRef]) -> Group<'a> {
        let mut shown: Vec<String> = Vec::new();
        for output in outputs {
            let node = graph.node(output.node);
            let target = select::target_of(graph, node).unwrap_or(&node.name);
            let name = if node.main.as_ref() == Some(&output.output) {
                target.to_owned()
            } else {
                format!("{target}.{}", output.output)
            };
            if !shown.contains(&name) {
                shown.push(name);
            }
        }
        let members = outputs.iter().map(|output| reference(graph, output)).collect();
        Group { name: &group.name, doc: group.doc.as_deref(), members, shown }
    }

    fn columns(&self) -> [String; 4] {
        [format!("  {}", self.name), self.shown.join(" "), String::new(), words(self.doc)]
    }
}

impl<'a> Exported<'a> {
    fn of(graph: &'a Graph, export: &'a Export) -> Exported<'a> {
        Exported {
            name: &export.name,
            doc: export.doc.as_deref(),
            source: reference(graph, &export.output),
            to: &export.to,
            mode: export.mode,
        }
    }

    fn columns(&self) -> [String; 4] {
        let to = self.to.to_string();
        let to = format!("{} ({})", to.trim_start_matches('/'), self.mode.word());
        [format!("  {}", self.name), self.source.clone(), format!("to {to}"), words(self.doc)]
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
