//! Which results an output takes: one node, or one for each of its platforms.

use std::collections::BTreeMap;

use crate::cli::failure::Failure;
use crate::cli::output::destination::{Destination, Takes};
use crate::cli::output::{Output, Planned};
use crate::graph::graph::{Graph, Node, OutputRef};
use crate::graph::op::{Composition, Op};
use crate::graph::select;
use crate::graph::value::Type;
use crate::oci::image::Platform;

/// The same output of one declaration, on each of its platforms, in the order in which it names them.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    name: String,
    members: Vec<OutputRef>,
}

impl Output {
    /// The only result among the targets that can go there; where it names a target itself, among those.
    pub(in crate::cli) fn plan(self, graph: &Graph, targets: &[OutputRef]) -> Result<Planned, Failure> {
        let own = match &self.target {
            Some(target) => Some(select::targets(graph, std::slice::from_ref(target))?),
            None => None,
        };
        let targets = own.as_deref().unwrap_or(targets);
        let of = |wanted: &[Type]| -> Vec<OutputRef> {
            let is_wanted =
                |target: &&OutputRef| wanted.contains(&graph.node(target.node).outputs[&target.output]);
            targets.iter().filter(is_wanted).cloned().collect()
        };
        let takes = self.destination.takes();
        let mut fitting = groups(graph, &of(&[Type::Image]));
        if takes == Takes::Files && fitting.is_empty() {
            fitting = groups(graph, &of(&[Type::Tree, Type::Rootfs]));
        }
        if fitting.len() != 1 {
            return Err(self.no_single(graph, targets, fitting.len()));
        }
        let Group { name, members } = fitting.remove(0);
        let sources = match takes {
            Takes::Platforms => members,
            Takes::Image | Takes::Files => vec![self.of_this_machine(graph, &name, &members)?],
        };
        let references = self.references(graph, &sources)?;
        Ok(Planned { target: name, sources, references, output: self })
    }

    /// Of several platforms, that of this machine.
    fn of_this_machine(
        &self,
        graph: &Graph,
        name: &str,
        members: &[OutputRef],
    ) -> Result<OutputRef, Failure> {
        let here = Platform::current();
        if let [only] = members {
            return Ok(only.clone());
        }
        let same = |variant: bool| {
            members.iter().find(|member| {
                let there = &graph.node(member.node).platform;
                (&there.os, &there.architecture) == (&here.os, &here.architecture)
                    && (!variant || there.variant == here.variant)
            })
        };
        if let Some(found) = same(true).or_else(|| same(false)) {
            return Ok(found.clone());
        }
        let platforms = members.iter().map(|member| graph.node(member.node).platform.to_string());
        let platforms: Vec<String> = platforms.collect();
        Err(Failure::input(
            format!(
                "`-o {}` takes an image for one platform, and `{name}` is for {}, none of which is this machine's ({here})",
                self.written,
                platforms.join(", ")
            ),
            format!("name one: -o '{name}[platform={}]={}'", platforms[0], self.transport()),
        ))
    }

    /// Without the target.
    fn transport(&self) -> &str {
        match &self.target {
            Some(target) => &self.written[target.len() + 1..],
            None => &self.written,
        }
    }

    /// What the destination says; else what the images say, each name once.
    fn references(&self, graph: &Graph, sources: &[OutputRef]) -> Result<Vec<String>, Failure> {
        let own = own_names(graph, sources);
        let references = match (&self.destination, self.destination.named()) {
            // A repository without a tag gets the tags of the image's own names.
            (Destination::Registry(_), Some(repository)) if !has_tag(repository) && !own.is_empty() => {
                let mut tagged: Vec<String> =
                    own.iter().map(|name| format!("{repository}:{}", tag(name))).collect();
                tagged.dedup();
                tagged
            }
            (_, Some(named)) => vec![named.to_owned()],
            (Destination::Layout { .. } | Destination::Archive { .. }, None) => {
                own.iter().map(|name| tag(name).to_owned()).collect()
            }
            (_, None) => own,
        };
        if references.is_empty() && self.destination.needs_name() {
            return Err(Failure::input(
                format!("`{}` names no image, and the image has no name of its own", self.written),
                format!("write {}REF, or give the image a line `name`", self.written),
            ));
        }
        Ok(references)
    }

    fn no_single(&self, graph: &Graph, targets: &[OutputRef], fitting: usize) -> Failure {
        let what = if self.destination.takes() == Takes::Files { "image or tree" } else { "image" };
        let found = if fitting == 0 { "none is one" } else { "several are" };
        let listed: Vec<String> = targets
            .iter()
            .map(|target| {
                let node = graph.node(target.node);
                format!("{} ({})", shown(node, &target.output), node.outputs[&target.output].name())
            })
            .collect();
        Failure::input(
            format!(
                "`-o {}` wants one {what} among the targets, and {found}: {}",
                self.written,
                listed.join(", ")
            ),
            "name the target to export: memobuild build TARGET -o …",
        )
    }
}

fn groups(graph: &Graph, outputs: &[OutputRef]) -> Vec<Group> {
    let mut found: Vec<(Key<'_>, Group)> = Vec::new();
    for output in outputs {
        let key = key(graph, output);
        match found.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.members.push(output.clone()),
            None => {
                let name = select::target_of(graph, graph.node(output.node));
                let name = name.unwrap_or(&graph.node(output.node).name).to_owned();
                found.push((key, Group { name, members: vec![output.clone()] }));
            }
        }
    }
    let mut groups: Vec<Group> = found.into_iter().map(|(_, group)| group).collect();
    for group in &mut groups {
        // Whoever names them one by one gets the same index.
        if let Some(declared) = graph.targets.get(&group.name) {
            let place = |member: &OutputRef| declared.iter().position(|output| output.node == member.node);
            group.members.sort_by_key(place);
        }
        if let [only] = group.members.as_slice() {
            group.name = shown(graph.node(only.node), &only.output);
        }
    }
    groups
}

type Key<'g> = (&'g str, BTreeMap<&'g str, &'g str>, &'g str);

/// What several platforms have in common.
fn key<'g>(graph: &'g Graph, output: &'g OutputRef) -> Key<'g> {
    let node = graph.node(output.node);
    let coordinate = node.coordinate.iter().map(|(axis, value)| (axis.as_str(), value.as_str()));
    let coordinate = coordinate.filter(|(axis, _)| *axis != "platform").collect();
    (select::target_of(graph, node).unwrap_or(&node.name), coordinate, &output.output)
}

fn shown(node: &Node, output: &str) -> String {
    match &node.main {
        Some(main) if main == output => node.name.clone(),
        _ => format!("{}.{output}", node.name),
    }
}

fn own_names(graph: &Graph, sources: &[OutputRef]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for source in sources {
        if let Op::Assemble(assemble) = &graph.node(source.node).op
            && let Composition::Image(settings) = &assemble.result
        {
            let new: Vec<_> = settings.names.iter().filter(|name| !names.contains(name)).cloned().collect();
            names.extend(new);
        }
    }
    names
}

fn has_tag(reference: &str) -> bool {
    reference.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

/// The tag of a reference `[HOST[:PORT]/]NAME[:TAG][@DIGEST]`; a name without one stands for itself where
/// it is no path, as layouts know only tags, and for `latest` elsewhere.
fn tag(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.split_once(':') {
        Some((_, tag)) => tag,
        None if name.contains('/') => "latest",
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for (name, expected) in [
            ("1.0", "1.0"),
            ("app:1.0", "1.0"),
            ("registry.example:5000/team/app:1.0", "1.0"),
            ("registry.example:5000/team/app", "latest"),
            ("team/app:1.0@sha256:00", "1.0"),
        ] {
            assert_eq!(tag(name), expected, "{name}");
        }
    }
}
