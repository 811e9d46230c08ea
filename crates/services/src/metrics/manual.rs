//! The page of the reference, written from the table.

use std::fmt::Write as _;

use super::family::FAMILIES;

const BEFORE: &str = "# Metrics

<!-- written by a test from the table in crates/services/src/metrics/family.rs; UPDATE_EXPECT=1 rewrites it -->

`GET /metrics` on the dashboard's port of every node, in Prometheus's text format:

```yaml
scrape_configs:
  - job_name: outlast
    static_configs: [{ targets: ['node01:7412', 'node02:7412', 'node03:7412'] }]
    # Elsewhere than on loopback:
    scheme: https
    authorization: { credentials_file: /etc/prometheus/outlast.token } # outlast access add prometheus --scope metrics
    tls_config:
      ca_file: /etc/prometheus/outlast.pem                             # outlast trust certificate
      server_name: controller.outlast.internal                         # in the certificate of every controller
```

A compute node's certificate has its own name only: `NAME.node.outlast.internal`, which a job of its own says as `server_name`.

Each node tells what it sees itself. Facts of the cluster (who holds a virtual IP, who is suspect) come
from several nodes at once, so take them together: `max by (vip) (outlast_vip_holders)`. What stands on
the agent's status is left out once that is two seconds old: an old number would look like a new one.
What the proxy does not measure has no sample; zero would be a guess. Names and labels do not change.

`share/prometheus/outlast-alerts.yml` has alert rules, `share/grafana/outlast.json` a dashboard; both are
loaded into the real Prometheus by a test.

| metric | type | labels | meaning |
|---|---|---|---|
";

/// The page `docs/reference/metrics.md`.
#[must_use]
pub fn page() -> String {
    let mut text = BEFORE.to_owned();
    for family in FAMILIES {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        // A String takes every text.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            family.name,
            family.kind.word(),
            labels.join(" "),
            family.help
        );
    }
    text
}
