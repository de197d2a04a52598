//! Laws of the drawing, on random graphs and on large ones.

use std::collections::BTreeMap;
use std::time::Instant;

use proptest::prelude::*;

use super::arrange::{Arrangement, arrange};
use super::*;
use crate::graph::graph::{Input, Node, NodeId, OutputRef, Select};
use crate::graph::op::Op;

const KINDS: [&str; 7] = ["files", "pull", "run", "tree", "image", "test", "other"];

/// Node `i` needs those of `needs[i]` that come before it.
fn graph(names: &[String], needs: &[Vec<usize>]) -> Graph {
    let input = |&source: &usize| Input {
        slot: "mount /<a>".into(),
        source: OutputRef { node: NodeId(source), output: "out".into() },
        select: Select::default(),
    };
    let node = |(place, needs): (usize, &Vec<usize>)| Node {
        name: names.get(place).cloned().unwrap_or_else(|| format!("n{place}")),
        kind: KINDS[place % KINDS.len()],
        op: Op::Host(crate::graph::op::Host::default()),
        inputs: needs.iter().filter(|&&source| source < place).map(input).collect(),
        outputs: BTreeMap::new(),
        main: None,
        doc: Some("\"doc\" & more\u{1}".into()),
        coordinate: BTreeMap::new(),
        platform: crate::oci::image::Platform::current(),
        place: format!("memobuild.kdl:{place}"),
        span: 0..0,
    };
    let nodes: Vec<Node> = needs.iter().enumerate().map(node).collect();
    let default =
        nodes.len().checked_sub(1).map(|last| OutputRef { node: NodeId(last), output: "out".into() });
    Graph { nodes, default: default.into_iter().collect(), ..Graph::default() }
}

fn check(graph: &Graph) {
    let drawing = arrange(graph);
    no_boxes_overlap(&drawing);
    let mut edges = 0;
    for (target, node) in graph.nodes.iter().enumerate() {
        let mut sources: Vec<usize> = node.inputs.iter().map(|input| input.source.node.0).collect();
        sources.sort_unstable();
        sources.dedup();
        edges += sources.len();
        for source in sources {
            let (start, end) = (drawing.boxes[source], drawing.boxes[target]);
            assert!(start.left + start.width < end.left, "{source} is not left of {target}");
        }
    }
    assert_eq!(drawing.arrows.len(), edges);
    for arrow in &drawing.arrows {
        let end = drawing.boxes[arrow.target];
        assert!(arrow.from.0 < arrow.to.0 && arrow.to.0 == end.left, "an arrow leads forward, to its target");
        assert!(end.top < arrow.to.1 && arrow.to.1 < end.top + end.height, "and arrives at its side");
    }
    let page = svg(graph);
    assert_eq!(page, svg(graph));
    assert_well_formed(&page);
}

fn no_boxes_overlap(drawing: &Arrangement) {
    let mut boxes = drawing.boxes.clone();
    boxes.sort_by(|one, other| one.left.total_cmp(&other.left));
    for (place, one) in boxes.iter().enumerate() {
        assert!(one.left > 0.0 && one.left + one.width < drawing.width, "{one:?} is on the page");
        assert!(one.top > 0.0 && one.top + one.height < drawing.height, "{one:?} is on the page");
        for other in boxes[place + 1..].iter().take_while(|other| other.left < one.left + one.width) {
            let apart = one.top + one.height < other.top || other.top + other.height < one.top;
            assert!(apart, "{one:?} and {other:?}");
        }
    }
}

/// Enough of XML for what is written here: tags match, texts hold no markup, entities are known.
fn assert_well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    for piece in page.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag ends");
        assert!(!text.contains('>') && tag.matches('"').count() % 2 == 0, "{piece}");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{piece}"),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split([' ', '\n']).next().unwrap()),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    for entity in page.split('&').skip(1) {
        let name = entity.split(';').next().unwrap();
        assert!(["amp", "lt", "gt", "quot"].contains(&name), "&{name}");
    }
    assert!(page.chars().all(|letter| letter == '\n' || letter == '\t' || !letter.is_control()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn boxes_stand_apart_and_edges_lead_forward(
        needs in proptest::collection::vec(proptest::collection::vec(0..40usize, 0..5), 0..40),
        names in proptest::collection::vec("\\PC{0,50}|[\\x00-\\x7f]{0,12}", 0..6),
    ) {
        check(&graph(&names, &needs));
    }
}

#[test]
fn a_long_edge_is_straight_and_passes_no_box() {
    // A chain of six, whose first is needed by its last too.
    let needs: Vec<Vec<usize>> = vec![vec![], vec![0], vec![1], vec![2], vec![3], vec![4, 0]];
    let drawing = arrange(&graph(&[], &needs));
    let [trunk] = drawing.trunks.as_slice() else { panic!("one trunk: {:?}", drawing.trunks) };
    assert_eq!(trunk.stretches.len(), 4);
    let height = trunk.stretches[0].2;
    assert!(trunk.stretches.iter().all(|stretch| stretch.2 == height), "{trunk:?}");
    let passed = &drawing.boxes[1..5];
    assert!(passed.iter().all(|rect| height < rect.top || height > rect.top + rect.height));
}

#[test]
fn sources_stand_beside_what_uses_them() {
    let drawing = arrange(&graph(&[], &[vec![], vec![0], vec![1], vec![], vec![2, 3]]));
    assert_eq!(drawing.boxes[3].left, drawing.boxes[2].left);
}

#[test]
fn what_can_be_drawn_without_crossings_is() {
    // Two trees whose leaves are declared in turn.
    let needs = [vec![], vec![], vec![], vec![], vec![0, 2], vec![1, 3], vec![4, 5]];
    let drawing = arrange(&graph(&[], &needs));
    for one in &drawing.arrows {
        for other in drawing.arrows.iter().filter(|other| other.from.0 == one.from.0) {
            let crossed = (one.from.1 - other.from.1) * (one.to.1 - other.to.1) < 0.0;
            assert!(!crossed, "{one:?} {other:?}");
        }
    }
}

/// Tests are built without optimisations: the program itself is many times as fast.
#[test]
fn large_graphs_end_soon() {
    let start = Instant::now();
    let shapes: [&dyn Fn(usize) -> Vec<usize>; 4] = [
        &|place| if place == 0 { vec![] } else { vec![place - 1, 0, place / 2] },
        &|place| {
            if place < 1_500 { vec![] } else { vec![place - 1_500, place * 7 % 1_500, place * 31 % 1_500] }
        },
        &|_| vec![],
        &|place| if place < 1_499 { vec![] } else { (0..1_499).collect() },
    ];
    for (shape, count) in shapes.iter().zip([1_500, 3_000, 3_000, 1_500]) {
        let needs: Vec<Vec<usize>> = (0..count).map(shape).collect();
        let page = svg(&graph(&[], &needs));
        assert!(page.len() < count * 6_000, "{} bytes for {count} nodes", page.len());
    }
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
