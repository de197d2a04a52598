//! Which setting wins, as the table at the top of `settings.rs` tells it.

use super::*;
use crate::lang::policy::{By, LockRule, NetworkRule, Said, Unpinned};

/// Every combination: the first in the order that says something.
#[test]
fn the_order_is_flag_variable_workspace_user_default() {
    for said in 0..32_u32 {
        let layer = |place: u32| (said & (1 << place) != 0).then_some(place);
        let choice = Choice {
            flag: layer(0),
            variable: layer(1),
            workspace: layer(2),
            user: layer(3),
            default: layer(4),
        };
        assert_eq!(choice.first(), (said != 0).then(|| said.trailing_zeros()), "{said:b}");
    }
}

fn secret(name: &str) -> BTreeMap<String, SecretSource> {
    BTreeMap::from([("token".to_owned(), SecretSource::Env(name.to_owned()))])
}

fn layer(max: u64, secret_from: &str) -> Settings {
    Settings {
        cache: Cache { l2_max: Some(max), ..Cache::default() },
        secrets: secret(secret_from),
        ..Settings::default()
    }
}

#[test]
fn a_profile_wins_over_the_workspace_and_that_over_the_user() {
    let workspace = Workspace {
        base: layer(2, "WORKSPACE"),
        profiles: BTreeMap::from([("fast".to_owned(), layer(3, "PROFILE"))]),
    };
    let under = |profile: Option<&str>| {
        let mut settings = layer(1, "USER");
        settings.lay_over(workspace.settle(profile).unwrap());
        settings
    };
    assert_eq!((under(None).cache.l2_max, under(None).secrets), (Some(2), secret("WORKSPACE")));
    let fast = under(Some("fast"));
    assert_eq!((fast.cache.l2_max, fast.secrets), (Some(3), secret("PROFILE")));
    assert_eq!(fast.profile.as_deref(), Some("fast"));
    let mut alone = layer(1, "USER");
    alone.lay_over(Workspace::default().settle(None).unwrap());
    assert_eq!((alone.cache.l2_max, alone.secrets), (Some(1), secret("USER")));
}

#[test]
fn what_is_not_said_does_not_win() {
    let folder = |path: &str, optional| HostFolder { path: path.to_owned(), optional };
    let mut settings = Settings {
        name: Some("acme".to_owned()),
        host_folders: vec![folder("/a", false), folder("/b", false)],
        ..layer(7, "X")
    };
    let expected = settings.clone();
    settings.lay_over(Settings::default());
    assert_eq!(settings, expected);
    settings.lay_over(Settings { host_folders: vec![folder("/a", true)], ..Settings::default() });
    assert_eq!(settings.host_folders, [folder("/b", false), folder("/a", true)]);
}

#[test]
fn the_built_in_profiles() {
    let settled = |name: &str| Workspace::default().settle(Some(name)).unwrap().policy;
    let by = |name: &str| By::Profile(name.to_owned());
    assert_eq!(settled("dev").unpinned, Some(Said::new(Unpinned::Allow, &by("dev"))));
    assert!(settled("dev").frozen_by().is_none());
    let ci = settled("ci");
    assert_eq!(ci.unpinned, Some(Said::new(Unpinned::Deny, &by("ci"))));
    assert_eq!(ci.frozen_by(), Some(&by("ci")));
    assert_eq!((ci.network, ci.host), (None, None));
    let hermetic = settled("hermetic");
    assert_eq!(hermetic.network, Some(Said::new(NetworkRule::Deny, &by("hermetic"))));
    assert_eq!(hermetic.host.map(|said| said.rule), Some(false));
    assert_eq!(hermetic.git_values.map(|said| said.rule), Some(false));
    assert_eq!(hermetic.unpinned.map(|said| said.rule), Some(Unpinned::Deny));
    assert_eq!(hermetic.lock.map(|said| said.rule), Some(LockRule::Frozen));
    assert_eq!(profiles::NAMES.iter().filter(|name| profiles::built_in(name).is_some()).count(), 3);
}

#[test]
fn an_own_profile_is_laid_over_the_built_in_one() {
    let own = By::Profile("ci".to_owned());
    let lax = Policy { unpinned: Some(Said::new(Unpinned::Warn, &own)), ..Policy::default() };
    let lax = Settings { policy: lax, ..Settings::default() };
    let workspace =
        Workspace { base: Settings::default(), profiles: BTreeMap::from([("ci".to_owned(), lax)]) };
    let policy = workspace.settle(Some("ci")).unwrap().policy;
    assert_eq!(policy.unpinned.map(|said| said.rule), Some(Unpinned::Warn));
    assert_eq!(policy.lock.map(|said| said.rule), Some(LockRule::Frozen), "as built in");
}

#[test]
fn an_unknown_profile_gets_a_suggestion() {
    let workspace = Workspace {
        base: Settings::default(),
        profiles: BTreeMap::from([("release".to_owned(), layer(1, "X"))]),
    };
    let help = |name: &str| workspace.settle(Some(name)).unwrap_err().help;
    assert_eq!(help("hermtic"), "did you mean `hermetic`?");
    assert_eq!(help("relase"), "did you mean `release`?");
    assert_eq!(help("quux"), "profiles: dev, ci, hermetic, release");
}
