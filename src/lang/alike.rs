//! Which instances come out the same on every platform: one node stands for all of them. What their text
//! asks of the platform decides, and what they stand on; `platform=build` is the same for all.

use crate::lang::instances::{Instance, InstanceId, Instances, Resolved};
use crate::lang::item::Reference;

/// Of each instance, the one that stands for it: mostly itself.
pub fn standing(instances: &Instances<'_>) -> Vec<InstanceId> {
    let differs = differing(instances);
    let standing = |id: usize| match differs[id] {
        true => InstanceId(id),
        false => instances.usual(InstanceId(id)),
    };
    (0..instances.all.len()).map(standing).collect()
}

/// A node without references, which is then read once for all platforms.
pub fn is_source_for_all(instance: &Instance, instances: &Instances<'_>) -> bool {
    !differs_by_itself(instance, instances) && references(instance).is_empty()
}

/// What differs makes all that takes it differ.
fn differing(instances: &Instances<'_>) -> Vec<bool> {
    let mut takers: Vec<Vec<usize>> = vec![Vec::new(); instances.all.len()];
    let mut differs = vec![false; instances.all.len()];
    let mut spreading = Vec::new();
    for (place, instance) in instances.all.iter().enumerate() {
        differs[place] = differs_by_itself(instance, instances);
        // All ask for the target but those with `platform=build`.
        let references = references(instance).into_iter().filter(|reference| !reference.is_for_build);
        for resolved in references.filter_map(|reference| instance.resolved.get(&reference.place)) {
            match resolved {
                Resolved::Output { instance, .. } => takers[instance.0].push(place),
                Resolved::Scratch => differs[place] = true,
                Resolved::Host | Resolved::Local(_) | Resolved::Poisoned => {}
            }
        }
        if differs[place] {
            spreading.push(place);
        }
    }
    while let Some(place) = spreading.pop() {
        for &taker in &takers[place] {
            if !std::mem::replace(&mut differs[taker], true) {
                spreading.push(taker);
            }
        }
    }
    differs
}

fn differs_by_itself(instance: &Instance, instances: &Instances<'_>) -> bool {
    let declaration = instances.world.decl(instance.decl).declaration;
    declaration.is_of_a_platform || instance.asks_platform || instance.item.only("platforms").is_some()
}

fn references(instance: &Instance) -> Vec<Reference> {
    let mut found = Vec::new();
    instance.item.walk(&mut |line| {
        let properties = line.properties.iter().filter_map(|pair| pair.given.reference());
        found.extend(line.references().chain(properties).cloned());
    });
    found
}

#[cfg(test)]
mod tests {
    use crate::graph::graph::Graph;
    use crate::graph::op::{Fetch, Op};
    use crate::lang::{Request, load_text};
    use crate::oci::image::Platform;

    fn graph(nodes: &str) -> Graph {
        let image =
            "image app { from scratch; platforms \"linux/amd64\" \"linux/arm64\"; copy out to=\"/\"; }";
        let text = format!("memobuild 1\n{nodes}\n{image}\n");
        let platform = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
        load_text(&text, &Request { platform, ..Request::root() }).unwrap().graph
    }

    fn count(graph: &Graph, name: &str) -> usize {
        graph.nodes.iter().filter(|node| node.name.split('[').next() == Some(name)).count()
    }

    #[test]
    fn what_asks_nothing_of_the_platform_is_there_once() {
        let base = "pull base \"oci:base\"";
        let text = "files out { include \"a\"; }";
        let on_build = "run r { from base platform=build; exec \"a\"; output o \"/o\"; }";
        let cases = [
            (text.to_owned(), "out", 1),
            ("files out root=\"${platform.arch}\"".to_owned(), "out", 2),
            ("files a\ntree out { copy a to=\"/\"; }".to_owned(), "out", 1),
            ("files a\ntree out { copy a to=\"/${platform.arch}\"; }".to_owned(), "out", 2),
            (format!("{base}\n{on_build}\ntree out {{ copy r.o to=\"/\"; }}"), "r", 1),
            (format!("{base}\n{on_build}\ntree out {{ copy r.o to=\"/\"; }}"), "base", 1),
            (format!("{base}\n{}\ntree out {{ copy r.o to=\"/\"; }}", on_build.replace(" platform=build", "")), "r", 2),
            ("run r { from host; exec \"a\"; output o \"/o\"; }\ntree out { copy r.o to=\"/\"; }".to_owned(), "r", 1),
            (
                "tree s { from scratch; copy \"./a\" to=\"/\"; }\ntree out { copy s path=\"/\" to=\"/\"; }".to_owned(),
                "s",
                2,
            ),
            (
                "files a\nfiles b\ntree out {\n when platform.arch=arm64 { copy a to=\"/\"; }\n unless platform.arch=arm64 { copy b to=\"/\"; }\n}"
                    .to_owned(),
                "out",
                2,
            ),
        ];
        for (nodes, name, expected) in cases {
            assert_eq!(count(&graph(&nodes), name), expected, "{name} of {nodes}");
        }
    }

    #[test]
    fn a_url_of_each_platform_is_fetched_for_each() {
        let graph = graph("http out \"https://example.org/${platform.arch}\"");
        let urls: Vec<&str> = graph
            .nodes
            .iter()
            .filter_map(|node| match &node.op {
                Op::Fetch(Fetch::Http { url, .. }) => Some(url.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(urls, ["https://example.org/amd64", "https://example.org/arm64"]);
    }
}
