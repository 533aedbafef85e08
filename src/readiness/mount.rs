//! Events about volumes that can't be attached or mounted: the volume and the cause, without the mount
//! command, the kubelet's directories (they contain pod UIDs) and the codes of RPC errors.

use super::text::one_line;

/// The reasons of these events.
pub(super) const REASONS: [&str; 2] = ["FailedMount", "FailedAttachVolume"];

/// Shortens a message to one line: `volume pv1: mount.nfs: access denied by server while mounting 10.0.0.1:/x`.
/// A message of another form keeps its words.
pub(super) fn shortened(message: &str) -> String {
    let message = message.trim();
    if let Some((volumes, reason)) = not_mounted(message) {
        return format!("{} not mounted: {}", one_line(&volumes), cause(reason));
    }
    match failed_operation(message) {
        Some((volume, reason)) => format!("volume {}: {}", one_line(volume), cause(reason)),
        None => cause(message),
    }
}

/// Volume and reason of `MountVolume.SetUp failed for volume "pv1" : mount failed: exit status 32`.
fn failed_operation(message: &str) -> Option<(&str, &str)> {
    let (operation, rest) = message.split_once(" failed for volume \"")?;
    let is_known = ["MountVolume.", "AttachVolume.", "MapVolume."]
        .iter()
        .any(|operations| operation.starts_with(operations));
    let (volume, rest) = rest.split_once('"')?;
    let (_, reason) = rest.split_once(" : ")?;
    is_known.then_some((volume, reason))
}

/// Volumes and reason of `Unable to attach or mount volumes: unmounted volumes=[data tls], unattached
/// volumes=[data]: timed out waiting for the condition`.
fn not_mounted(message: &str) -> Option<(String, &str)> {
    let lists = message.strip_prefix("Unable to attach or mount volumes: unmounted volumes=[")?;
    let (names, _) = lists.split_once(']')?;
    let (_, reason) = lists.split_once("]: ")?;
    let names: Vec<&str> = names.split_whitespace().collect();
    match names.as_slice() {
        [] => None,
        [name] => Some((format!("volume {name}"), reason)),
        several => Some((format!("volumes {}", several.join(", ")), reason)),
    }
}

/// The cause in a reason: the output of the mount command if there is any.
fn cause(reason: &str) -> String {
    let reason = without_codes(reason);
    let Some((before, command)) = reason.split_once("Mounting command:") else {
        return plain(reason);
    };
    // A mount command that itself runs a mount command prints a second output inside of its output.
    let output = command.rsplit_once("Output:").map(|(_, output)| plain(output));
    output.filter(|output| !output.is_empty()).unwrap_or_else(|| plain(before))
}

/// Removes the codes of nested RPC errors: `rpc error: code = Internal desc = `.
fn without_codes(reason: &str) -> &str {
    let mut reason = reason;
    while let Some((_, description)) = reason
        .strip_prefix("rpc error: code = ")
        .and_then(|error| error.split_once(" desc = "))
        .filter(|(_, description)| !description.is_empty())
    {
        reason = description;
    }
    reason
}

/// One line, without the name of systemd's unit and the paths of the kubelet.
fn plain(text: &str) -> String {
    let is_unit = |line: &&str| {
        ["Running scope as unit", "Running as unit"].iter().any(|start| line.starts_with(start))
    };
    let lines: Vec<String> =
        text.lines().map(str::trim).filter(|line| !is_unit(line)).map(without_paths).collect();
    one_line(&lines.join("\n"))
}

fn without_paths(line: &str) -> String {
    let mut kept = String::new();
    for word in line.split_whitespace() {
        if word.contains("/kubelet/pods/") || word.contains("/kubelet/plugins/") {
            // The colon after a path separates the words around it.
            if word.ends_with(':') && !kept.is_empty() && !kept.ends_with(':') {
                kept.push(':');
            }
            continue;
        }
        if !kept.is_empty() {
            kept.push(' ');
        }
        kept.push_str(word);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "/var/lib/kubelet/pods/c8769c53-5f2b-4c3f-a0be-3703e8c10c11/volumes";

    #[test]
    fn a_mount_command_is_cut_to_its_output() {
        let nfs = format!("{POD}/kubernetes.io~nfs/pv1");
        let of = |arguments: &str, output: &str| {
            shortened(&format!(
                "MountVolume.SetUp failed for volume \"pv1\" : mount failed: exit status 32\n\
                 Mounting command: mount\nMounting arguments: {arguments}\nOutput: {output}\n"
            ))
        };
        let arguments = format!("-t nfs 10.0.0.1:/x {nfs}");
        for (output, shown) in [
            (
                "mount.nfs: access denied by server while mounting 10.0.0.1:/x".to_owned(),
                "volume pv1: mount.nfs: access denied by server while mounting 10.0.0.1:/x",
            ),
            (
                "mount.nfs: Connection timed out\n".to_owned(),
                "volume pv1: mount.nfs: Connection timed out",
            ),
            (
                format!(
                    "mount: {nfs}: bad option; for several filesystems (e.g. nfs, cifs) you might need a \
                     /sbin/mount.<type> helper program."
                ),
                "volume pv1: mount: bad option; for several filesystems (e.g. nfs, cifs) you might need a \
                 /sbin/mount.<type> helper program",
            ),
            (
                "Running scope as unit run-20707.scope.\nmount.nfs: No such device".to_owned(),
                "volume pv1: mount.nfs: No such device",
            ),
            (
                "mount.nfs: rpc.statd is not running but is required for remote locking.\n\
                 mount.nfs: Either use '-o nolock' to keep locks local, or start statd."
                    .to_owned(),
                "volume pv1: mount.nfs: rpc.statd is not running but is required for remote locking.; \
                 mount.nfs: Either use '-o nolock' to keep locks local, or start statd",
            ),
            (String::new(), "volume pv1: mount failed: exit status 32"),
        ] {
            assert_eq!(of(&arguments, &output), shown);
        }
        // A mounter that runs in a container.
        let nested = format!(
            "Mount failed: mount failed: exit status 32\nMounting command: chroot\nMounting arguments: \
             [/home/kubernetes/rootfs mount -t nfs 10.0.0.1:/x {nfs}]\nOutput: mount.nfs: access denied"
        );
        assert_eq!(of(&arguments, &nested), "volume pv1: mount.nfs: access denied");
    }

    #[test]
    fn other_reasons_are_kept_without_paths_and_codes() {
        for (message, shown) in [
            (
                "MountVolume.SetUp failed for volume \"config\" : configmap \"x\" not found",
                "volume config: configmap \"x\" not found",
            ),
            (
                "MountVolume.SetUp failed for volume \"tls\" : references non-existent secret key: ca.crt",
                "volume tls: references non-existent secret key: ca.crt",
            ),
            (
                "MountVolume.SetUp failed for volume \"pv1\" : hostPath type check failed: /srv/pg is \
                 not a directory",
                "volume pv1: hostPath type check failed: /srv/pg is not a directory",
            ),
            (
                "MountVolume.NewMounter initialization failed for volume \"disk\" : path \"/mnt/x\" does \
                 not exist",
                "volume disk: path \"/mnt/x\" does not exist",
            ),
            (
                "MountVolume.MountDevice failed for volume \"pvc-1\" : rpc error: code = Internal desc = \
                 rpc error: code = DeadlineExceeded desc = context deadline exceeded",
                "volume pvc-1: context deadline exceeded",
            ),
            (
                "MountVolume.SetUp failed for volume \"pvc-1\" : rpc error: code = Internal desc = mount \
                 failed: exit status 32\nMounting command: mount\nMounting arguments: -t nfs a:/b c\n\
                 Output: mount.nfs: Protocol not supported",
                "volume pvc-1: mount.nfs: Protocol not supported",
            ),
            (
                "AttachVolume.Attach failed for volume \"pvc-1\" : Attach timeout for volume pvc-1",
                "volume pvc-1: Attach timeout for volume pvc-1",
            ),
            (
                "Multi-Attach error for volume \"pvc-1\" Volume is already used by pod(s) pgset-0",
                "Multi-Attach error for volume \"pvc-1\" Volume is already used by pod(s) pgset-0",
            ),
            ("configmap \"x\" not found", "configmap \"x\" not found"),
            ("", ""),
        ] {
            assert_eq!(shortened(message), shown);
        }
        assert_eq!(
            shortened(&format!(
                "MountVolume.SetUp failed for volume \"pv1\" : mkdir {POD}/x: no space left on device"
            )),
            "volume pv1: mkdir: no space left on device"
        );
    }

    #[test]
    fn volumes_that_are_not_mounted_in_time_are_named() {
        for (message, shown) in [
            (
                "Unable to attach or mount volumes: unmounted volumes=[pgdata], unattached \
                 volumes=[pgdata kube-api-access-x7]: timed out waiting for the condition",
                "volume pgdata not mounted: timed out waiting for the condition",
            ),
            (
                "Unable to attach or mount volumes: unmounted volumes=[pgdata tls], unattached volumes=[], \
                 failed to process volumes=[]: context deadline exceeded",
                "volumes pgdata, tls not mounted: context deadline exceeded",
            ),
            (
                "Unable to attach or mount volumes: unmounted volumes=[pgdata], unattached \
                 volumes=[pgdata], failed to process volumes=[pgdata]: error processing PVC \
                 pg/pgset-pvc: PVC is not bound",
                "volume pgdata not mounted: error processing PVC pg/pgset-pvc: PVC is not bound",
            ),
            (
                "Unable to attach or mount volumes: unmounted volumes=[], unattached volumes=[]: x",
                "Unable to attach or mount volumes: unmounted volumes=[], unattached volumes=[]: x",
            ),
        ] {
            assert_eq!(shortened(message), shown);
        }
    }
}
