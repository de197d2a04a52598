//! What the files declare beside nodes, with their words, for `memobuild list`: parameters, axes and groups.
//! The graph has their values already; nothing of this is in any key.

use std::collections::BTreeSet;

use crate::graph::graph::{AxisInfo, Graph, GroupInfo, ParamInfo};
use crate::lang::decl::group::GROUP;
use crate::lang::decl::param;
use crate::lang::interpolate::Plain;
use crate::lang::item::{Given, Item};
use crate::lang::label::package_name;
use crate::lang::matrix::Axis;
use crate::lang::mistake::Findings;
use crate::lang::read::Reader;
use crate::lang::scope::{ScopeId, World};
use crate::lang::syntax::Node;
use crate::lang::table::Line;

/// For a build without mistakes.
pub fn add(world: &World<'_>, graph: &mut Graph) {
    graph.params = params(world);
    graph.axes = axes(world);
    graph.groups = groups(world, graph);
}

/// Of the packages that were read, in the order of their files. Those of templates are set where they are used.
fn params(world: &World<'_>) -> Vec<ParamInfo> {
    let mut params = Vec::new();
    for (place, file) in world.files.files.iter().enumerate() {
        if world.files.package(&file.package) != Some(place) {
            continue;
        }
        let nodes = file.document.iter().flat_map(|document| &document.nodes);
        let package = if file.package.is_root() { String::new() } else { package_name(&file.package) };
        for node in nodes.filter(|node| node.word == param::LINE.word) {
            let item = read(world, world.packages[place], &param::LINE, node);
            params.push(param_info(&item, package.clone()));
        }
    }
    params
}

/// Once more: it has no mistakes.
fn read<'w>(world: &'w World<'w>, scope: ScopeId, row: &'static Line, node: &'w Node) -> Item {
    Reader::new(world, world.env(scope), &mut Findings::default()).item(row, node)
}

fn param_info(item: &Item, package: String) -> ParamInfo {
    // What is wrong with it was told before.
    let rule = param::rule(item, &mut Findings::default());
    let default = param::default(item, &rule, &mut Findings::default());
    ParamInfo {
        name: item.text().unwrap_or_default().to_owned(),
        kind_of_value: rule.name().to_owned(),
        default: default.map(|default| match default {
            Plain::List(values) => values,
            one => vec![one.to_text()],
        }),
        values: item.only("values").map(Item::texts).unwrap_or_default(),
        env: item.property("env").and_then(Given::text).map(str::to_owned),
        doc: item.text_of("doc"),
        package,
    }
}

fn axes(world: &World<'_>) -> Vec<AxisInfo> {
    let mut axes: Vec<_> = world.axes.iter().collect();
    axes.sort_by_key(|(_, axis)| axis.node.word_span.start);
    let info = |(name, axis): (&&str, &Axis<'_>)| AxisInfo {
        name: (*name).to_owned(),
        values: axis.values.iter().map(|value| (*value).to_owned()).collect(),
        doc: axis.doc.map(str::to_owned),
    };
    axes.into_iter().map(info).collect()
}

/// Those that are targets, in the order in which they are declared.
fn groups(world: &World<'_>, graph: &Graph) -> Vec<GroupInfo> {
    let mut seen = BTreeSet::new();
    let mut groups = Vec::new();
    for (place, scope) in world.scopes.iter().enumerate() {
        for (name, line) in &scope.groups {
            let name = format!("{}{name}", scope.prefix);
            if graph.targets.contains_key(&name) && seen.insert(name.clone()) {
                let doc = read(world, ScopeId(place), &GROUP, line.node).text_of("doc");
                groups.push(GroupInfo { name, doc });
            }
        }
    }
    groups
}
