//! Redis Cluster.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::command::{USUAL, run};
use crate::redis::{Kind, Redis, client};
use crate::{port, random};

/// So long the nodes may take until all agree that the cluster is complete.
const COMPLETE_WITHIN: Duration = Duration::from_secs(30);

/// A private cluster of masters without replicas, stopped when this is dropped.
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    pub(super) fn start(nodes: usize) -> Result<Self, String> {
        let password = random::token();
        let kind = Kind { cluster: true, ..Kind::default() };
        let node = |_| port::on_free_cluster_port(|port| Redis::start_on(port, &kind, &password));
        let cluster = Self { nodes: (0..nodes).map(node).collect::<Result<_, _>>()? };
        let first = cluster.nodes.first().ok_or("a cluster has nodes")?;
        let mut create = Command::new(&first.client);
        create.env("REDISCLI_AUTH", &password).args(["--cluster", "create"]);
        create.args(cluster.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
        run(create.args(["--cluster-replicas", "0", "--cluster-yes"]), "", USUAL)?;
        cluster.wait_until_complete()?;
        Ok(cluster)
    }

    /// The nodes; each can be asked, killed, frozen and started again.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// The URLs of the nodes, `redis://:<password>@127.0.0.1:<port>/0`; the password is the same.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// Sends a command to the node that has the key, with `redis-cli -c`.
    pub fn cli(&self, arguments: &[&str]) -> Result<String, String> {
        let first = self.nodes.first().ok_or("a cluster has nodes")?;
        run(client(&first.client, first.port, &first.password).arg("-c").args(arguments), "", USUAL)
    }

    fn wait_until_complete(&self) -> Result<(), String> {
        let deadline = Instant::now() + COMPLETE_WITHIN;
        for node in &self.nodes {
            while !node.cli(&["CLUSTER", "INFO"])?.contains("cluster_state:ok") {
                if Instant::now() > deadline {
                    return Err(format!("the cluster is not complete: {}", node.cli(&["CLUSTER", "INFO"])?));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}
