# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_pgset_global_optspecs
    string join \n kubeconfig= context= n/namespace= name= o/output= color= q/quiet v/verbose y/yes timeout= h/help V/version
end

function __fish_pgset_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_pgset_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_pgset_using_subcommand
    set -l cmd (__fish_pgset_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c pgset -n "__fish_pgset_needs_command" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_needs_command" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_needs_command" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_needs_command" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_needs_command" -s o -l output -d 'Output format; each command lists its formats' -r -f -a "human\t'For people'
wide\t'For people, with more columns'
json\t'JSON, one document or one line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_needs_command" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_needs_command" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_needs_command" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_needs_command" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_needs_command" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_needs_command" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_needs_command" -s V -l version -d 'Print the version'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "up" -d 'Create or update the set and wait until its replicas stream'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "scale" -d 'Change the number of pods and wait until the replicas stream'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "restart" -d 'Restart pods one by one, replicas first'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "switchover" -d 'Make a replica the master, without loss'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "failover" -d 'Make a replica the master when the master does not come back'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "rejoin" -d 'Make an old master follow the new one, and keep its data'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "test" -d 'Test replication with SQL, inside the cluster'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "status" -d 'Show pods, replication, services, volumes and problems'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "stop" -d 'Stop the pods, keep the set\'s objects and its data'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "start" -d 'Start a stopped set and wait until its replicas stream'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "down" -d 'Delete the set\'s objects, keep its data'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "psql" -d 'Open psql on the master or on a replica, inside its pod'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "connect" -d 'Print how to connect: URIs, and variables for libpq'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "password" -d 'Show a password, or rotate it'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "render" -d 'Print the objects that up would apply'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "diff" -d 'Show what up would change'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "templates" -d 'Write the built-in templates to a directory'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "env" -d 'Print every setting, its value, and where the value comes from'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "sandbox" -d 'Try pgset without a cluster: a small Kubernetes on this machine'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "man" -d 'Print the manual page'
complete -c pgset -n "__fish_pgset_using_subcommand up" -l replicas -d 'Number of pods [default: current, else 2]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l synchronous -d 'Replicas that must confirm a commit [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l max-lag -d 'How far a replica may be behind [default: 1Gi]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l image -d 'Container image [default: postgres:17]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l postgres-version -d 'Major version, 13 to 18: the image postgres:N' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l profile -d 'How to run the image: crunchy or postgres' -r -f -a "crunchy\t'Crunchy\'s images of 2017 to 2019'
postgres\t'PostgreSQL\'s official image'"
complete -c pgset -n "__fish_pgset_using_subcommand up" -l storage -d 'class[:NAME], claim:NAME, nfs://, hostpath:/' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l size -d 'Size that each claim requests [default: 1Gi]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l access-mode -d 'ReadWriteOnce, ReadWriteMany, ReadWriteOncePod' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l volume-prefix -d 'Prefix of static volume names [default: pv]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l set -d 'PostgreSQL setting, repeatable [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l config -d 'File with PostgreSQL settings [default: current]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand up" -l tls -d 'Require TLS on every connection [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l tls-secret -d 'Secret with your ca.crt, tls.crt and tls.key' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l requests -d 'Requests: cpu=500m,memory=1Gi' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l limits -d 'Limits: cpu=2,memory=1Gi; cpu=none' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l node-selector -d 'Label that a node must have' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l toleration -d 'Taint to tolerate' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l image-pull-secret -d 'Secret of the image\'s registry' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l label -d 'Label of every object and pod' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l annotation -d 'Annotation of objects and pods' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l network-policy -d 'Block clients in other namespaces' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l termination-grace-period -d 'Time to stop a pod [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l user-id -d 'User ID of PostgreSQL in the image' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l service-account -d 'Existing ServiceAccount for the pods' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l templates -d 'Directory with your templates' -r -f -a "(__fish_complete_directories)"
complete -c pgset -n "__fish_pgset_using_subcommand up" -l reset -d 'Go back to the default of a setting; repeatable' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l dry-run -d 'Change nothing' -r -f -a "client\t'Only read the live objects'
server\t'Send the changes to the API server, which checks and discards them'"
complete -c pgset -n "__fish_pgset_using_subcommand up" -l password-file -d 'File with the application\'s password, or -' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand up" -s o -l output -d 'Format' -r -f -a "human\t'For people'
json\t'JSON, one document or one line per event'"
complete -c pgset -n "__fish_pgset_using_subcommand up" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand up" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand up" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l no-wait -d 'Apply the objects and do not wait'
complete -c pgset -n "__fish_pgset_using_subcommand up" -l switchover -d 'Move the master before its pod restarts'
complete -c pgset -n "__fish_pgset_using_subcommand up" -l create-namespace -d 'Create the namespace if it does not exist'
complete -c pgset -n "__fish_pgset_using_subcommand up" -l force-conflicts -d 'Take over fields that another manager owns'
complete -c pgset -n "__fish_pgset_using_subcommand up" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand up" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand up" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand up" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand scale" -l replicas -d 'Number of pods, including the master' -r
complete -c pgset -n "__fish_pgset_using_subcommand scale" -s o -l output -d 'Format' -r -f -a "human\t'For people'
json\t'JSON, one document or one line per event'"
complete -c pgset -n "__fish_pgset_using_subcommand scale" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand scale" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand scale" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand scale" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand scale" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand scale" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand scale" -l no-wait -d 'Do not wait until the pods are ready and stream'
complete -c pgset -n "__fish_pgset_using_subcommand scale" -l switchover -d 'Move the master first if its pod would be deleted'
complete -c pgset -n "__fish_pgset_using_subcommand scale" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand scale" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand scale" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand scale" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand restart" -s o -l output -d 'Format' -r -f -a "human\t'For people'
json\t'JSON, one document or one line per event'"
complete -c pgset -n "__fish_pgset_using_subcommand restart" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand restart" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand restart" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand restart" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand restart" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand restart" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand restart" -l all -d 'Restart every pod'
complete -c pgset -n "__fish_pgset_using_subcommand restart" -l switchover -d 'Move the master to a replica before its pod restarts'
complete -c pgset -n "__fish_pgset_using_subcommand restart" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand restart" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand restart" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand restart" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand switchover" -l to -d 'Pod that becomes the master' -r
complete -c pgset -n "__fish_pgset_using_subcommand switchover" -l drain -d 'Move the master away from this node, if it is there' -r
complete -c pgset -n "__fish_pgset_using_subcommand switchover" -s o -l output -d 'Format' -r -f -a "human\t'For people'
json\t'JSON, one document or one line per event'"
complete -c pgset -n "__fish_pgset_using_subcommand switchover" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand switchover" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand switchover" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand switchover" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand switchover" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand switchover" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand switchover" -l dry-run -d 'Show the result of each check, change nothing'
complete -c pgset -n "__fish_pgset_using_subcommand switchover" -l back-out -d 'Undo a run that was interrupted before the promotion'
complete -c pgset -n "__fish_pgset_using_subcommand switchover" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand switchover" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand switchover" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand switchover" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand failover" -l to -d 'Pod that becomes the master' -r
complete -c pgset -n "__fish_pgset_using_subcommand failover" -l node-is-off -d 'Say that the master\'s node is switched off' -r
complete -c pgset -n "__fish_pgset_using_subcommand failover" -s o -l output -d 'Format' -r -f -a "human\t'For people'
json\t'JSON, one document or one line per event'"
complete -c pgset -n "__fish_pgset_using_subcommand failover" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand failover" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand failover" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand failover" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand failover" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand failover" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand failover" -l accept-data-loss -d 'Allow a pod that has less than another replica'
complete -c pgset -n "__fish_pgset_using_subcommand failover" -l dry-run -d 'Show what is known, change nothing'
complete -c pgset -n "__fish_pgset_using_subcommand failover" -l back-out -d 'Undo a run that was interrupted before the promotion'
complete -c pgset -n "__fish_pgset_using_subcommand failover" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand failover" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand failover" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand failover" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand rejoin" -s o -l output -d 'Format' -r -f -a "human\t'For people'
json\t'JSON, one document or one line per event'"
complete -c pgset -n "__fish_pgset_using_subcommand rejoin" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand rejoin" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand rejoin" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand rejoin" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand rejoin" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand rejoin" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand rejoin" -l clone -d 'Clone the pod in any case'
complete -c pgset -n "__fish_pgset_using_subcommand rejoin" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand rejoin" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand rejoin" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand rejoin" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand test" -l lag-limit -d 'Maximum replication delay' -r
complete -c pgset -n "__fish_pgset_using_subcommand test" -s o -l output -d 'Format' -r -f -a "human\t'For people'
json\t'JSON, one document or one line per event'
junit\t'JUnit XML'"
complete -c pgset -n "__fish_pgset_using_subcommand test" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand test" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand test" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand test" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand test" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand test" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand test" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand test" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand test" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand test" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand status" -s o -l output -d 'Format' -r -f -a "human\t'For people'
wide\t'For people, with more columns'
json\t'JSON, one document or one line per event'
yaml\t'YAML'"
complete -c pgset -n "__fish_pgset_using_subcommand status" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand status" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand status" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand status" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand status" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand status" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand status" -s w -l watch -d 'Show the status again after every change'
complete -c pgset -n "__fish_pgset_using_subcommand status" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand status" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand status" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand status" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand stop" -s o -l output -d 'Format' -r -f -a "human\t'For people'
json\t'JSON, one document or one line per event'"
complete -c pgset -n "__fish_pgset_using_subcommand stop" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand stop" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand stop" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand stop" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand stop" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand stop" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand stop" -l no-wait -d 'Do not wait until the pods are stopped'
complete -c pgset -n "__fish_pgset_using_subcommand stop" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand stop" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand stop" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand stop" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand start" -s o -l output -d 'Format' -r -f -a "human\t'For people'
json\t'JSON, one document or one line per event'"
complete -c pgset -n "__fish_pgset_using_subcommand start" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand start" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand start" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand start" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand start" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand start" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand start" -l no-wait -d 'Do not wait until the pods are ready and stream'
complete -c pgset -n "__fish_pgset_using_subcommand start" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand start" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand start" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand start" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand down" -l dry-run -d 'Change nothing' -r -f -a "client\t'Only read the live objects'
server\t'Send the changes to the API server, which checks and discards them'"
complete -c pgset -n "__fish_pgset_using_subcommand down" -s o -l output -d 'Format' -r -f -a "human\t'For people'
json\t'JSON, one document or one line per event'"
complete -c pgset -n "__fish_pgset_using_subcommand down" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand down" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand down" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand down" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand down" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand down" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand down" -l delete-data -d 'Delete the data and the passwords, too'
complete -c pgset -n "__fish_pgset_using_subcommand down" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand down" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand down" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand down" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand psql" -l replica -d 'Connect to a replica' -r
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s U -l user -d 'Role to act as [default: postgres]' -r
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s d -l database -d 'Database [default: the application\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand psql" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand psql" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand psql" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand psql" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand psql" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand psql" -l keep-going -d 'Continue after an error'
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand connect" -s o -l output -d 'Format' -r -f -a "human\t'For people'
json\t'JSON, one document or one line per event'
yaml\t'YAML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand connect" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l replica -d 'With -o env: the variables for the replicas'
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l show-password -d 'Print the password, too'
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l ca-certificate -d 'Print only the CA certificate, in PEM'
complete -c pgset -n "__fish_pgset_using_subcommand connect" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand connect" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand connect" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand connect" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -f -a "show" -d 'Print a password and nothing else'
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -f -a "rotate" -d 'Set new passwords of roles, in PostgreSQL and in the Secret'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -l password-file -d 'File with the new password, or -' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand render" -l replicas -d 'Number of pods [default: current, else 2]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l synchronous -d 'Replicas that must confirm a commit [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l max-lag -d 'How far a replica may be behind [default: 1Gi]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l image -d 'Container image [default: postgres:17]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l postgres-version -d 'Major version, 13 to 18: the image postgres:N' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l profile -d 'How to run the image: crunchy or postgres' -r -f -a "crunchy\t'Crunchy\'s images of 2017 to 2019'
postgres\t'PostgreSQL\'s official image'"
complete -c pgset -n "__fish_pgset_using_subcommand render" -l storage -d 'class[:NAME], claim:NAME, nfs://, hostpath:/' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l size -d 'Size that each claim requests [default: 1Gi]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l access-mode -d 'ReadWriteOnce, ReadWriteMany, ReadWriteOncePod' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l volume-prefix -d 'Prefix of static volume names [default: pv]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l set -d 'PostgreSQL setting, repeatable [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l config -d 'File with PostgreSQL settings [default: current]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand render" -l tls -d 'Require TLS on every connection [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l tls-secret -d 'Secret with your ca.crt, tls.crt and tls.key' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l requests -d 'Requests: cpu=500m,memory=1Gi' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l limits -d 'Limits: cpu=2,memory=1Gi; cpu=none' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l node-selector -d 'Label that a node must have' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l toleration -d 'Taint to tolerate' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l image-pull-secret -d 'Secret of the image\'s registry' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l label -d 'Label of every object and pod' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l annotation -d 'Annotation of objects and pods' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l network-policy -d 'Block clients in other namespaces' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l termination-grace-period -d 'Time to stop a pod [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l user-id -d 'User ID of PostgreSQL in the image' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l service-account -d 'Existing ServiceAccount for the pods' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l templates -d 'Directory with your templates' -r -f -a "(__fish_complete_directories)"
complete -c pgset -n "__fish_pgset_using_subcommand render" -l output-dir -d 'Write a file per object to this directory' -r -f -a "(__fish_complete_directories)"
complete -c pgset -n "__fish_pgset_using_subcommand render" -l kube-version -d 'Version of Kubernetes [default: a current one]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -s o -l output -d 'Format' -r -f -a "human\t'For people'
yaml\t'YAML'"
complete -c pgset -n "__fish_pgset_using_subcommand render" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand render" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand render" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l list -d 'List the templates and render nothing'
complete -c pgset -n "__fish_pgset_using_subcommand render" -l show-secrets -d 'Print the Secrets, too: they contain passwords'
complete -c pgset -n "__fish_pgset_using_subcommand render" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand render" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand render" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand render" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l replicas -d 'Number of pods [default: current, else 2]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l synchronous -d 'Replicas that must confirm a commit [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l max-lag -d 'How far a replica may be behind [default: 1Gi]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l image -d 'Container image [default: postgres:17]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l postgres-version -d 'Major version, 13 to 18: the image postgres:N' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l profile -d 'How to run the image: crunchy or postgres' -r -f -a "crunchy\t'Crunchy\'s images of 2017 to 2019'
postgres\t'PostgreSQL\'s official image'"
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l storage -d 'class[:NAME], claim:NAME, nfs://, hostpath:/' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l size -d 'Size that each claim requests [default: 1Gi]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l access-mode -d 'ReadWriteOnce, ReadWriteMany, ReadWriteOncePod' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l volume-prefix -d 'Prefix of static volume names [default: pv]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l set -d 'PostgreSQL setting, repeatable [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l config -d 'File with PostgreSQL settings [default: current]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l tls -d 'Require TLS on every connection [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l tls-secret -d 'Secret with your ca.crt, tls.crt and tls.key' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l requests -d 'Requests: cpu=500m,memory=1Gi' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l limits -d 'Limits: cpu=2,memory=1Gi; cpu=none' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l node-selector -d 'Label that a node must have' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l toleration -d 'Taint to tolerate' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l image-pull-secret -d 'Secret of the image\'s registry' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l label -d 'Label of every object and pod' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l annotation -d 'Annotation of objects and pods' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l network-policy -d 'Block clients in other namespaces' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l termination-grace-period -d 'Time to stop a pod [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l user-id -d 'User ID of PostgreSQL in the image' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l service-account -d 'Existing ServiceAccount for the pods' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l templates -d 'Directory with your templates' -r -f -a "(__fish_complete_directories)"
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l reset -d 'Go back to the default of a setting; repeatable' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand diff" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand diff" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand diff" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -f -a "export" -d 'Write the built-in templates to a directory, as a starting point'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand env" -l replicas -d 'Number of pods [default: current, else 2]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l synchronous -d 'Replicas that must confirm a commit [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l max-lag -d 'How far a replica may be behind [default: 1Gi]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l image -d 'Container image [default: postgres:17]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l postgres-version -d 'Major version, 13 to 18: the image postgres:N' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l profile -d 'How to run the image: crunchy or postgres' -r -f -a "crunchy\t'Crunchy\'s images of 2017 to 2019'
postgres\t'PostgreSQL\'s official image'"
complete -c pgset -n "__fish_pgset_using_subcommand env" -l storage -d 'class[:NAME], claim:NAME, nfs://, hostpath:/' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l size -d 'Size that each claim requests [default: 1Gi]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l access-mode -d 'ReadWriteOnce, ReadWriteMany, ReadWriteOncePod' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l volume-prefix -d 'Prefix of static volume names [default: pv]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l set -d 'PostgreSQL setting, repeatable [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l config -d 'File with PostgreSQL settings [default: current]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand env" -l tls -d 'Require TLS on every connection [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l tls-secret -d 'Secret with your ca.crt, tls.crt and tls.key' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l requests -d 'Requests: cpu=500m,memory=1Gi' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l limits -d 'Limits: cpu=2,memory=1Gi; cpu=none' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l node-selector -d 'Label that a node must have' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l toleration -d 'Taint to tolerate' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l image-pull-secret -d 'Secret of the image\'s registry' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l label -d 'Label of every object and pod' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l annotation -d 'Annotation of objects and pods' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l network-policy -d 'Block clients in other namespaces' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l termination-grace-period -d 'Time to stop a pod [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l user-id -d 'User ID of PostgreSQL in the image' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l service-account -d 'Existing ServiceAccount for the pods' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l templates -d 'Directory with your templates' -r -f -a "(__fish_complete_directories)"
complete -c pgset -n "__fish_pgset_using_subcommand env" -s o -l output -d 'Format' -r -f -a "human\t'For people'
json\t'JSON, one document or one line per event'"
complete -c pgset -n "__fish_pgset_using_subcommand env" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand env" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand env" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand env" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand env" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand env" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -l directory -d 'Directory of the sandbox' -r -f -a "(__fish_complete_directories)"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -f -a "start" -d 'Start the sandbox in the background'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -f -a "status" -d 'Show whether the sandbox is running, and where'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -f -a "logs" -d 'Print the log of the sandbox since its first start'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -f -a "node" -d 'Stop, start, freeze or thaw a node'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -f -a "stop" -d 'Stop the sandbox and its pods; keep its objects and data'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -f -a "run" -d 'Start a sandbox, run a command with KUBECONFIG set, stop the sandbox'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs node stop run serve" -f -a "serve" -d 'Run as the background process'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -l nodes -d 'Number of nodes, 1 to 9; pods spread over them' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -l directory -d 'Directory of the sandbox' -r -f -a "(__fish_complete_directories)"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l directory -d 'Directory of the sandbox' -r -f -a "(__fish_complete_directories)"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -l directory -d 'Directory of the sandbox' -r -f -a "(__fish_complete_directories)"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -l directory -d 'Directory of the sandbox' -r -f -a "(__fish_complete_directories)"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -f -a "stop" -d 'Cut the power of a node: all its processes are killed at once'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -f -a "start" -d 'Boot a stopped node: start its containers again'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -f -a "freeze" -d 'Cut a node off from the API server and from Services'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from node" -f -a "thaw" -d 'Restore the connection of a frozen node'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -l directory -d 'Directory of the sandbox' -r -f -a "(__fish_complete_directories)"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -l delete -d 'Delete its objects and data, too'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l nodes -d 'Number of nodes, 1 to 9; pods spread over them' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l directory -d 'Directory of the sandbox' -r -f -a "(__fish_complete_directories)"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -l nodes -d 'Number of nodes, 1 to 9; pods spread over them' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -l directory -d 'Directory of the sandbox' -r -f -a "(__fish_complete_directories)"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -l passing -d 'Delete the directory at the end'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand completions" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand completions" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand completions" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand completions" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand completions" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand completions" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand completions" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand completions" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand completions" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand completions" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand completions" -s h -l help -d 'Print help; --help explains every option'
complete -c pgset -n "__fish_pgset_using_subcommand man" -s o -l output -d 'Format' -r -f -a "human\t'For people'"
complete -c pgset -n "__fish_pgset_using_subcommand man" -l kubeconfig -d 'Kubeconfig file [default: ~/.kube/config]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand man" -l context -d 'Context of the kubeconfig [default: current]' -r
complete -c pgset -n "__fish_pgset_using_subcommand man" -s n -l namespace -d 'Namespace of the set [default: the context\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand man" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand man" -l color -d 'Use color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand man" -l timeout -d 'Time limit, such as 90s or 1h30m [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand man" -s q -l quiet -d 'Print only warnings and errors'
complete -c pgset -n "__fish_pgset_using_subcommand man" -s v -l verbose -d 'Print more details: -v to -vvvv'
complete -c pgset -n "__fish_pgset_using_subcommand man" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand man" -s h -l help -d 'Print help; --help explains every option'
