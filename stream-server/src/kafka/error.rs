//! Why a front doesn't start.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::topic_log::LogError;
use crate::settings::KafkaSetting;

/// Why a front doesn't start on a cluster.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// The cluster doesn't answer, or refuses.
    #[error(
        "cannot use Kafka at {brokers}: {problem}. Correct the brokers or the security settings"
    )]
    Cluster {
        /// What the settings say.
        brokers: String,
        /// What is wrong.
        problem: String,
    },
    /// The brokers refuse this server or this server refuses them, or nobody answers.
    #[error("cannot connect to Kafka at {brokers}: {problem}. {change}")]
    Refused {
        /// What the settings say.
        brokers: String,
        /// What is wrong.
        problem: String,
        /// What to change.
        change: &'static str,
    },
    /// The user lacks rights.
    #[error(
        "Kafka doesn't allow this server to use {topic}: {problem}. Give its user the rights \
         Create, Delete, Describe, DescribeConfigs, Read and Write on topics that begin with \
         {prefix}"
    )]
    Rights {
        /// The topic.
        topic: String,
        /// What Kafka says.
        problem: String,
        /// What the settings say.
        prefix: String,
    },
    /// Topics would lose or falsify messages.
    #[error("these topics are unfit:{}", listed(.0))]
    Topics(Vec<String>),
    /// The secret that all fronts share can't be used.
    #[error(
        "the secret of the fronts in {0}: {1}. Give all fronts the same file of 32 bytes or more"
    )]
    Secret(PathBuf, String),
    /// Other fronts can't reach this one.
    #[error(
        "cannot listen on {0} for other fronts: {1}. Name another address with --internal-listen"
    )]
    Listen(SocketAddr, std::io::Error),
    /// Other machines could reach the internal listener, and its secret is in a topic.
    #[error(
        "refusing to listen on {0} for other fronts without a secret of their own: name a file \
         with --secret-file, the same for all fronts"
    )]
    Remote(SocketAddr),
    /// Other fronts would call themselves.
    #[error(
        "other fronts can't reach this one at {0}: name the URL that they call it with \
         --internal-url"
    )]
    Unreachable(SocketAddr),
    /// Nobody came to serve the control plane.
    #[error("the cluster has no working front after {0} seconds: {1}")]
    Late(u64, String),
}

impl KafkaError {
    /// Returns whether the settings are to blame (as opposed to the cluster or the machine).
    pub(crate) fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Topics(_)
                | Self::Rights { .. }
                | Self::Refused { .. }
                | Self::Secret(..)
                | Self::Remote(_)
                | Self::Unreachable(_)
        )
    }
}

fn listed(problems: &[String]) -> String {
    problems.iter().map(|one| format!("\n  {one}")).collect()
}

/// Returns why the cluster can't be used.
pub(super) fn cluster(setting: &KafkaSetting, error: &LogError) -> KafkaError {
    KafkaError::Cluster {
        brokers: setting.brokers.clone(),
        problem: error.to_string(),
    }
}

/// Returns why a topic can't be used.
pub(super) fn of_topic(setting: &KafkaSetting, topic: &str, error: &LogError) -> KafkaError {
    match error {
        LogError::Denied(problem) => KafkaError::Rights {
            topic: topic.to_owned(),
            problem: problem.clone(),
            prefix: setting.topic_prefix.clone(),
        },
        LogError::Refused(_)
        | LogError::Unavailable(_)
        | LogError::Unknown(_)
        | LogError::NoTopic
        | LogError::Exists
        | LogError::OutOfRange => cluster(setting, error),
    }
}
