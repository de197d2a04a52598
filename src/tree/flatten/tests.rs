//! The laws of flattening and squashing, over random layers.

use proptest::prelude::*;

use super::*;
use crate::base::tree_path::TreePath;
use crate::tree::diff::{apply, changes, diff};
use crate::tree::dsl::{self, Sketch, memo, show, tree};
use crate::tree::overlay::Layers;

#[test]
fn squashed_changes_keep_what_still_counts() {
    let (_folder, memo) = memo();
    for (lower, upper, expected) in [
        ("a=1", "b=2", "a=1 b=2"),
        ("a=1", "a!", "a!"),
        ("a!", "a=1", "a=1"),
        ("a!", "a/b=1", "a/! a/b=1"),
        ("a=1", "a/b=1", "a/! a/b=1"),
        ("a/b=1", "a=1", "a=1"),
        ("a/b=1 a/c=2", "a/b!", "a/b! a/c=2"),
        ("a/! a/b=1 a/c=2", "a/b!", "a/! a/c=2"),
        ("a/b=1", "a/! a/c=2", "a/! a/c=2"),
        ("a/:700 a/b=1", "a/:711", "a/:711 a/b=1"),
        ("a!", "a/ a/b!", "a/!"),
        ("{}", "a/ a/b!", "a/b!"),
    ] {
        let squashed = squash(&memo, &[tree(&memo, lower), tree(&memo, upper)]).unwrap();
        assert_eq!(show(&memo, squashed), expected, "`{lower}` under `{upper}`");
    }
}

#[test]
fn the_lowest_layer_too_loses_its_whiteouts() {
    let (_folder, memo) = memo();
    let layer = tree(&memo, "a! b/! b/c! b/d=1 e/f!");
    assert_eq!(show(&memo, flatten(&memo, &[layer]).unwrap()), "b/d=1 e/");
    assert_eq!(show(&memo, flatten(&memo, &[]).unwrap()), "{}");
}

/// Every path of a plain tree with its entry's metadata and kind.
fn paths(memo: &Memo, tree: TreeDigest, above: &TreePath, list: &mut Vec<(TreePath, Entry)>) {
    for (name, entry) in encode::load(memo, tree).unwrap().entries {
        let path = above.join(&name);
        if let Some(tree) = entry.tree() {
            paths(memo, tree, &path, list);
        }
        list.push((path, entry));
    }
}

#[test]
fn laws() {
    let (_folder, memo) = memo();
    let save = |sketch: &Sketch| sketch.save(&memo);
    let three = prop::collection::vec(dsl::changes(), 0..4);
    proptest!(ProptestConfig::with_cases(100), |(base in dsl::trees(), other in dsl::trees(), layers in three)| {
        let (base_tree, other_tree) = (save(&base), save(&other));
        let trees: Vec<_> = layers.iter().map(save).collect();

        let change = diff(&memo, Some(base_tree), other_tree).unwrap();
        prop_assert_eq!(apply(&memo, base_tree, change).unwrap(), other_tree);
        let listed = changes(&memo, base_tree, other_tree).unwrap();
        prop_assert_eq!(listed.is_empty(), base_tree == other_tree);

        // The oracle knows nothing of stacks: it changes maps of names, one layer after the other.
        let expected = layers.iter().fold(Sketch::default(), |root, layer| root.changed_by(layer));
        let flat = flatten(&memo, &trees).unwrap();
        prop_assert_eq!(show(&memo, flat), show(&memo, save(&expected)));

        let squashed = squash(&memo, &trees).unwrap();
        prop_assert_eq!(flatten(&memo, &[squashed]).unwrap(), flat);
        let one_by_one = layers.iter().fold(base.clone(), |root, layer| root.changed_by(layer));
        prop_assert_eq!(apply(&memo, base_tree, squashed).unwrap(), save(&one_by_one));

        let mut all = Vec::new();
        paths(&memo, flat, &TreePath::root(), &mut all);
        let merged = Layers::new(&memo, trees);
        for (path, entry) in all {
            prop_assert_eq!(dsl::lookup(&memo, &merged, &path), Some(entry));
        }
    });
}
