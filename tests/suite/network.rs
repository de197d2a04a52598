//! Builds whose runs have a line `network`, as the whole program does them: policies that name hosts, what is told,
//! what is remembered.

use crate::sandbox::site::{Site, own_address, secret_site};
use crate::space::{BUSYBOX_ROOT, Space, busybox_root};
use crate::telling::words;

fn space(policy: &str, run: &str) -> Option<Space> {
    let space = Space::new();
    busybox_root(&space).then(|| {
        space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{run}"));
        policy_of(&space, policy);
        space
    })
}

/// The block goes to the end, so that the rest keeps its lines.
fn policy_of(space: &Space, policy: &str) {
    let file = space.workspace().join("memobuild.kdl");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.split("workspace ").next().unwrap().to_owned();
    space.file("memobuild.kdl", format!("{text}workspace acme {{ policy {{ network {policy}; }}; }}\n"));
}

const FETCH: &str = r##"
run deps {
    from root
    network
    sh "busybox wget -q -O /page URL"
}
"##;

#[test]
fn a_host_that_the_policy_does_not_name_is_told_with_the_line_to_write() {
    let run = FETCH.replace("URL", "http://registry.example/page");
    let Some(space) = space("\"deb.example\" \"*.corp.example\"", &run) else { return };
    let ran = space.run(&["build", "deps", "--progress", "plain"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    insta::assert_snapshot!("refused", words(&ran.stderr));
}

#[test]
fn results_are_recalled_only_where_the_policy_would_let_the_run_do_the_same() {
    let Some(site) = Site::start([("/page", "page\n")].into()) else { return };
    let (own, run) =
        (format!("\"{}:{}\"", site.address, site.port), FETCH.replace("URL", &site.url("/page")));
    let Some(space) = space(&own, &run) else { return };
    let build = |code| {
        let ran = space.run(&["build", "deps", "--progress", "plain", "--report", "report.json"]);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        let outcome = space.outcomes().get("deps").cloned().unwrap_or_default();
        (outcome, ran.stderr.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(build(0).0, "executed");
    assert_eq!(build(0).0, "recalled");
    let report = space.report();
    let node = report["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "deps").unwrap();
    assert_eq!(node["traffic"]["answers"][0]["url"], site.url("/page"));
    assert_eq!(node["traffic"]["answers"][0]["size"], 5);
    assert_eq!(node["traffic"]["hosts"][0]["port"], site.port);
    let log = space.ok(&["log", "deps", "--network"]).stdout;
    let sha256 = node["traffic"]["answers"][0]["sha256"].as_str().unwrap();
    assert!(log.contains(&format!("GET {} 200, 5 bytes, {sha256}\n", site.url("/page"))), "{log}");
    assert!(log.contains(&format!("{}:{}: ", site.address, site.port)), "{log}");
    policy_of(&space, "\"other.example\"");
    let (outcome, said) = build(1);
    assert_eq!(outcome, "failed");
    assert!(said.contains(&format!("network \"other.example\" {own}")), "{said}");
    policy_of(&space, "allow");
    let (outcome, said) = build(1);
    assert_eq!(outcome, "failed", "this machine must be named");
    assert!(said.contains("what is this machine's own must be named"), "{said}");
    policy_of(&space, "deny");
    assert!(build(2).1.contains("memo::policy::network"));
    policy_of(&space, &format!("\"other.example\" {own}"));
    assert_eq!(build(0).0, "recalled");
    assert!(own_address().is_some());
}

#[test]
fn hosts_are_checked_where_they_are_written() {
    let space = Space::new();
    space.file("memobuild.kdl", "memobuild 1\ndefault a\nfile a \"x\"\n");
    for (policy, words) in [
        ("\"https://a.example/x\"", "`https://a.example/x` is a URL, and a host is its name alone"),
        ("\"a.*.example\"", "`*.` may stand before a name, and nowhere else"),
        ("\"a.example:x\"", "a port is a number from 1 to 65535"),
        ("allowed", "`network` takes `allow`, `deny` or hosts, not `allowed`"),
    ] {
        space.file(
            "memobuild.kdl",
            format!("memobuild 1\nfiles a\nworkspace acme {{ policy {{ network {policy}; }}; }}\n"),
        );
        let ran = space.run(&["check"]);
        assert_eq!(ran.code, Some(2), "{policy}");
        let said = ran.stderr.replace("\n  │ ", " ");
        assert!(said.contains(words), "{said}");
    }
}

const OPENED: &str = r##"memobuild 1
run deps {
    from host
    network intercept
    add-host "files.example" "ADDRESS"
    sh "exec 2>&1; cd /out; curl -sSf https://files.example:PORT/a -o a"
    sh "exec 2>&1; cd /out; SCRIPT"
    output out "/out"
}
"##;

/// A workspace whose run has its TLS opened, and the command to build it.
struct Opened {
    space: Space,
    site: Site,
    authority: std::path::PathBuf,
}

impl Opened {
    fn new(policy: &str, script: &str) -> Option<Opened> {
        if !crate::space::can_run() || !crate::space::have(&["curl"]) {
            return None;
        }
        let pages = [("/a", "page a\n"), ("/b", "page b\n")].into();
        let (site, authority) = secret_site("files.example", pages)?;
        let space = Space::new();
        let authority = space.file("../authority.pem", authority);
        let text = OPENED.replace("ADDRESS", &site.address.to_string()).replace("SCRIPT", script);
        let text = text.replace("PORT", &site.port.to_string());
        space.file("memobuild.kdl", text);
        policy_of(&space, &policy.replace("PORT", &site.port.to_string()));
        Some(Opened { space, site, authority })
    }

    fn run(&self, arguments: &[&str]) -> crate::space::Ran {
        crate::space::run(self.space.command(arguments).env("SSL_CERT_FILE", &self.authority))
    }
}

#[test]
fn what_tls_hides_is_seen_where_it_is_to_be() {
    let script = "curl -sS https://files.example:PORT/b https://files.example:PORT/none; \
                  env -u CURL_CA_BUNDLE -u SSL_CERT_FILE curl -sS https://files.example:PORT/a; \
                  env -u https_proxy -u HTTPS_PROXY -u all_proxy -u ALL_PROXY \
                  curl -sS https://files.example:PORT/a; \
                  grep -c PRIVATE /dev/certificates.pem || true; \
                  curl -sS --resolve other.example:PORT:127.64.0.1 --noproxy '*' https://other.example:PORT/ || true";
    let Some(opened) = Opened::new("\"files.example:PORT\"", script) else { return };
    let ran = opened.run(&["build", "deps", "--progress", "plain", "--report", "report.json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let log = opened.space.ok(&["log", "deps"]).stdout;
    assert!(log.contains("page b\nno such page\npage a\npage a\n"), "{log}");
    assert!(log.contains("0\ncurl: "), "the key is nowhere to be seen: {log}");
    let url = |path: &str| format!("https://files.example:{}{path}", opened.site.port);
    let report = opened.space.report();
    let traffic =
        &report["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "deps").unwrap()["traffic"];
    let found: Vec<(&str, u64)> = traffic["answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| (answer["url"].as_str().unwrap(), answer["status"].as_u64().unwrap()))
        .collect();
    let expected = [(url("/a"), 200), (url("/b"), 200), (url("/none"), 404)];
    assert_eq!(found, expected.each_ref().map(|(url, status)| (url.as_str(), *status)));
    let sha256 = format!("{}", memobuild::base::digest::OciDigest::of(b"page a\n"));
    assert_eq!(traffic["answers"][0]["sha256"], sha256);
    assert_eq!(traffic["refused"][0]["host"], "other.example");
}

#[test]
fn a_server_that_cannot_prove_who_it_is_is_not_believed_for_the_run() {
    let Some(opened) = Opened::new("\"files.example:PORT\"", "true") else { return };
    let ran = opened.space.run(&["build", "deps", "--progress", "plain"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(opened.site.requests(), [""; 0]);
}

#[test]
fn a_host_may_have_an_authority_of_its_own() {
    let Some(opened) = Opened::new("\"files.example:PORT\"", "true") else { return };
    let host = format!("files.example:{}", opened.site.port);
    let folder = opened.space.path().join(".config/containers/certs.d");
    for (host, code) in [("other.example", 1), (host.as_str(), 0)] {
        std::fs::create_dir_all(folder.join(host)).unwrap();
        std::fs::copy(&opened.authority, folder.join(host).join("ca.crt")).unwrap();
        let ran = opened.space.run(&["build", "deps", "--progress", "plain"]);
        assert_eq!(ran.code, Some(code), "{host}: {}", ran.stderr);
    }
}

#[test]
fn what_a_run_fetched_is_pinned_and_replayed_without_a_network() {
    let script = "curl -sSf https://files.example:PORT/b; \
                  curl -sS -o /dev/null -w '%{http_code}' https://files.example:PORT/none; echo; \
                  curl -sS -d x https://files.example:PORT/post > /dev/null || true";
    let Some(opened) = Opened::new("\"files.example:PORT\"", script) else { return };
    let (space, port) = (&opened.space, opened.site.port);
    let ran = opened.run(&["lock"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stdout, "memobuild.lock: 3 entries, 3 added, 0 changed, 0 removed\n");
    let lock = std::fs::read_to_string(space.workspace().join("memobuild.lock")).unwrap();
    let sha256 = memobuild::base::digest::OciDigest::of(b"page a\n").to_hex();
    let line = |path: &str| format!("fetch \"//:deps\" url=\"https://files.example:{port}{path}\"");
    assert!(lock.contains(&format!("{} sha256=\"{sha256}\" size=7\n", line("/a"))), "{lock}");
    assert!(lock.contains(&format!("{} status=404 sha256=", line("/none"))), "{lock}");
    assert_eq!(space.run(&["lock", "--check"]).code, Some(0));
    opened.site.requests();

    let build =
        ["build", "deps", "-o", "deps.out=files:out", "--progress", "plain", "--report", "report.json"];
    policy_of(space, "deny");
    let ran = space.run(&build);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(space.outcomes()["deps"], "executed");
    assert!(space.ok(&["log", "deps"]).stdout.starts_with("page b\n404\n"));
    assert_eq!(std::fs::read_to_string(space.path().join("out/a")).unwrap(), "page a\n");
    assert_eq!(opened.site.requests(), [""; 0]);
    assert_eq!(space.run(&build).code, Some(0));
    assert_eq!(space.outcomes()["deps"], "recalled");

    policy_of(space, &format!("\"files.example:{port}\""));
    space.file("memobuild.lock", lock.replace(&sha256, &"1".repeat(64)));
    let ran = opened.run(&build);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    let said = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("memo::lock::differs") && said.contains(&format!("sha256:{sha256}")), "{said}");
    assert!(said.contains("if that is meant: memobuild lock --update deps"), "{said}");
    assert_eq!(opened.site.requests(), [format!("GET /a HTTP/1.1 files.example:{port}")]);
}

#[test]
fn what_came_in_the_open_is_replayed_too() {
    let Some(site) = Site::start([("/page", "page\n")].into()) else { return };
    let run = FETCH.replace("URL", &site.url("/page")).replace("network", "network intercept");
    let Some(space) = space(&format!("\"{}:{}\"", site.address, site.port), &run) else { return };
    assert_eq!(space.ok(&["lock"]).stdout, "memobuild.lock: 1 entry, 1 added, 0 changed, 0 removed\n");
    assert_eq!(site.requests().len(), 1);
    policy_of(&space, "deny");
    assert_eq!(space.build(&["deps"])["deps"], "executed");
    assert_eq!(site.requests(), [""; 0]);
}
