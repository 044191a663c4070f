//! What runs on a stage, as the system and the state file show it.

use domain::slice::Slice;

use super::Stage;

impl Stage {
    /// The user of the server group, if it has one of its own.
    pub fn user(&self) -> Option<u32> {
        let state = std::fs::read(self.state().join("state.json")).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
        let user = state["groups"]["cart.live"]["user"].as_u64();
        user.map(|user| u32::try_from(user).unwrap())
    }

    /// The processes of a user that run.
    pub fn processes_of(&self, user: u32) -> Vec<i32> {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let line = format!("Uid:\t{user}\t");
        let own = pids.filter(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
            status.is_ok_and(|it| it.contains(&line) && !it.contains("State:\tZ"))
        });
        own.collect()
    }

    /// The members of blue, as the state file has them.
    pub fn members(&self) -> Vec<serde_json::Value> {
        let state = std::fs::read(self.state().join("state.json")).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
        let members = &state["groups"]["cart.live"]["slices"]["blue"]["members"];
        members.as_array().cloned().unwrap_or_default()
    }

    /// All processes of instances of this stage that run.
    pub fn processes(&self) -> Vec<i32> {
        let mark = format!("@{}", self.state().canonicalize().unwrap().display());
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let marked = pids.filter(|pid| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let mut lines = environ.split(|byte| *byte == 0);
            lines.any(|line| {
                line.starts_with(b"POINTSMAN_INSTANCE=") && line.ends_with(mark.as_bytes())
            })
        });
        marked.collect()
    }

    /// The processes of all instances in blue, as the state file names them.
    pub async fn pids(&self) -> Vec<i32> {
        self.pids_of(Slice::Blue).await
    }

    pub async fn pids_of(&self, slice: Slice) -> Vec<i32> {
        let state = tokio::fs::read(self.state().join("state.json"))
            .await
            .unwrap();
        let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
        let members = &state["groups"]["cart.live"]["slices"][slice.to_string()]["members"];
        let pid = |member: &serde_json::Value| member["process"]["pid"].as_i64();
        let members = members.as_array().into_iter().flatten();
        members
            .filter_map(pid)
            .map(|pid| i32::try_from(pid).unwrap())
            .collect()
    }

    /// The processes of the router, those that leave included.
    pub fn routers(&self) -> Vec<i32> {
        let entries = std::fs::read_dir(self.state()).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let pid = |name: String| {
            let pid = name.strip_prefix("router.")?.strip_suffix(".sock")?;
            pid.parse().ok()
        };
        names.filter_map(pid).collect()
    }
}
