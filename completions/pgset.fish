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

complete -c pgset -n "__fish_pgset_needs_command" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_needs_command" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_needs_command" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_needs_command" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_needs_command" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_needs_command" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_needs_command" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_needs_command" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_needs_command" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_needs_command" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_needs_command" -s V -l version -d 'Print version'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "up" -d 'Make the set, or bring it to what the settings say, and wait until it replicates'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "scale" -d 'Change the number of pods, and wait until the new ones stream'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "test" -d 'Prove by SQL, from inside the cluster, that the set replicates'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "status" -d 'Show pods, replication, services and volumes, and what is wrong'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "down" -d 'Take the set down; its data stays unless told otherwise'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "psql" -d 'Open psql on the master or on a replica, inside its pod'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "connect" -d 'Print how to connect: URIs, and variables for libpq'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "password" -d 'Show a password, or replace it by a new one'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "render" -d 'Print the objects that up would apply'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "diff" -d 'Show what up would change'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "templates" -d 'Write out the built-in templates'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "env" -d 'Print every environment variable, with the value in force and where it comes from'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "sandbox" -d 'Try pgset without a cluster: a small Kubernetes of this machine\'s processes'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "completions" -d 'Print a completion script'
complete -c pgset -n "__fish_pgset_needs_command" -f -a "man" -d 'Print the manual page'
complete -c pgset -n "__fish_pgset_using_subcommand up" -l replicas -d 'Number of pods, the master included [default: what runs, else 2]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l image -d 'Image [default: the article\'s when CCP_IMAGE_TAG is set, else postgres:17]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l postgres-version -d 'Major version of PostgreSQL, 13 to 18: the image postgres:N' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l profile -d 'How the image is run [default: by its name]' -r -f -a "crunchy\t'Crunchy\'s images of 2017 to 2019'
postgres\t'PostgreSQL\'s official image'"
complete -c pgset -n "__fish_pgset_using_subcommand up" -l storage -d 'Where the data lies: nfs://SERVER/PATH, hostpath:/PATH, class[:NAME] or claim:NAME' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l size -d 'What each claim asks for, such as 10Gi [default: 1Gi]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l access-mode -d 'Access mode of volumes and claims: ReadWriteOnce, ReadWriteMany or ReadWriteOncePod' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l volume-prefix -d 'Prefix of the static volumes\' names: pv makes pv1, pv2, pv3 [default: pv]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l set -d 'A setting of PostgreSQL\'s, again for more [default: what runs]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l config -d 'File of PostgreSQL\'s settings, in the syntax of postgresql.conf' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand up" -l synchronous -d 'For how many replicas a commit waits; 0 for none [default: what runs]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l tls -d 'Encrypt every connection, by a certificate that pgset makes and renews [default: what runs]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l tls-secret -d 'The same by a Secret of your own, with ca.crt, tls.crt and tls.key' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l templates -d 'Directory of your own templates' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand up" -l requests -d 'What each container is promised, such as cpu=500m,memory=1Gi' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l limits -d 'What each container can\'t exceed; none takes a limit away: cpu=none' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l node-selector -d 'Label that a node must have' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l toleration -d 'Taint that the pods put up with, such as dedicated=db:NoSchedule' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l image-pull-secret -d 'Secret that opens the image\'s registry' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l label -d 'Label of every object and pod' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l annotation -d 'Annotation of every object and pod' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l network-policy -d 'Let pods of this namespace in, and nobody else' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l termination-grace-period -d 'How long a pod may take to stop before it is killed [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l dry-run -d 'Change nothing: show what would change (client), or let the API server check it too (server)' -r -f -a "client\t'Compare with what is there'
server\t'Let the API server check, and keep nothing'"
complete -c pgset -n "__fish_pgset_using_subcommand up" -l password-file -d 'Take the application\'s password from this file, or from stdin (-)' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand up" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand up" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand up" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand up" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand up" -l no-wait -d 'Apply, and do not wait'
complete -c pgset -n "__fish_pgset_using_subcommand up" -l force-conflicts -d 'Take over fields that another manager owns'
complete -c pgset -n "__fish_pgset_using_subcommand up" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand up" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand up" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand scale" -l replicas -d 'Number of pods, the master included' -r
complete -c pgset -n "__fish_pgset_using_subcommand scale" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand scale" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand scale" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand scale" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand scale" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand scale" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand scale" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand scale" -l no-wait -d 'Do not wait until the pods are ready and stream'
complete -c pgset -n "__fish_pgset_using_subcommand scale" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand scale" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand scale" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand scale" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand test" -l lag-limit -d 'How long a row written on the master may take to be read on every replica' -r
complete -c pgset -n "__fish_pgset_using_subcommand test" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand test" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand test" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand test" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand test" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand test" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand test" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand test" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand test" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand test" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand status" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand status" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand status" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand status" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand status" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand status" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand status" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand status" -s w -l watch -d 'Show it again whenever it changes, until Ctrl-C'
complete -c pgset -n "__fish_pgset_using_subcommand status" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand status" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand status" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand down" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand down" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand down" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand down" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand down" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand down" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand down" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand down" -l delete-data -d 'Delete claims, volumes and passwords too; asks for the set\'s name'
complete -c pgset -n "__fish_pgset_using_subcommand down" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand down" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand down" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand down" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand psql" -l replica -d 'On a replica, which only reads: any that is ready, or the pod of this number' -r
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s U -l user -d 'Act as this role (SET ROLE) [default: the superuser postgres]' -r
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s d -l database -d 'Database [default: the application\'s]' -r
complete -c pgset -n "__fish_pgset_using_subcommand psql" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand psql" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand psql" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand psql" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand psql" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand psql" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand connect" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand connect" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l replica -d 'With -o env: the variables for the replicas'
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l show-password -d 'Print the password, too'
complete -c pgset -n "__fish_pgset_using_subcommand connect" -l ca-certificate -d 'Print the CA\'s certificate, alone: what sslrootcert names'
complete -c pgset -n "__fish_pgset_using_subcommand connect" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand connect" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand connect" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand connect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -f -a "show" -d 'Print a password, alone'
complete -c pgset -n "__fish_pgset_using_subcommand password; and not __fish_seen_subcommand_from show rotate" -f -a "rotate" -d 'Give roles new passwords, in PostgreSQL and in the Secret'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -l password-file -d 'Take the new password from this file, or from stdin (-) [default: made]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand password; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand render" -l replicas -d 'Number of pods, the master included [default: what runs, else 2]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l image -d 'Image [default: the article\'s when CCP_IMAGE_TAG is set, else postgres:17]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l postgres-version -d 'Major version of PostgreSQL, 13 to 18: the image postgres:N' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l profile -d 'How the image is run [default: by its name]' -r -f -a "crunchy\t'Crunchy\'s images of 2017 to 2019'
postgres\t'PostgreSQL\'s official image'"
complete -c pgset -n "__fish_pgset_using_subcommand render" -l storage -d 'Where the data lies: nfs://SERVER/PATH, hostpath:/PATH, class[:NAME] or claim:NAME' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l size -d 'What each claim asks for, such as 10Gi [default: 1Gi]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l access-mode -d 'Access mode of volumes and claims: ReadWriteOnce, ReadWriteMany or ReadWriteOncePod' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l volume-prefix -d 'Prefix of the static volumes\' names: pv makes pv1, pv2, pv3 [default: pv]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l set -d 'A setting of PostgreSQL\'s, again for more [default: what runs]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l config -d 'File of PostgreSQL\'s settings, in the syntax of postgresql.conf' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand render" -l synchronous -d 'For how many replicas a commit waits; 0 for none [default: what runs]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l tls -d 'Encrypt every connection, by a certificate that pgset makes and renews [default: what runs]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l tls-secret -d 'The same by a Secret of your own, with ca.crt, tls.crt and tls.key' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l templates -d 'Directory of your own templates' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand render" -l requests -d 'What each container is promised, such as cpu=500m,memory=1Gi' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l limits -d 'What each container can\'t exceed; none takes a limit away: cpu=none' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l node-selector -d 'Label that a node must have' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l toleration -d 'Taint that the pods put up with, such as dedicated=db:NoSchedule' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l image-pull-secret -d 'Secret that opens the image\'s registry' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l label -d 'Label of every object and pod' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l annotation -d 'Annotation of every object and pod' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l network-policy -d 'Let pods of this namespace in, and nobody else' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l termination-grace-period -d 'How long a pod may take to stop before it is killed [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l output-dir -d 'Write a file per object into this directory' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand render" -l kube-version -d 'The Kubernetes that the objects are for, such as 1.20 [default: a current one]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand render" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand render" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand render" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand render" -l list -d 'Name each template and where it comes from, and render nothing'
complete -c pgset -n "__fish_pgset_using_subcommand render" -l show-secrets -d 'Print the Secret, too: it holds the passwords'
complete -c pgset -n "__fish_pgset_using_subcommand render" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand render" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand render" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand render" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l replicas -d 'Number of pods, the master included [default: what runs, else 2]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l image -d 'Image [default: the article\'s when CCP_IMAGE_TAG is set, else postgres:17]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l postgres-version -d 'Major version of PostgreSQL, 13 to 18: the image postgres:N' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l profile -d 'How the image is run [default: by its name]' -r -f -a "crunchy\t'Crunchy\'s images of 2017 to 2019'
postgres\t'PostgreSQL\'s official image'"
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l storage -d 'Where the data lies: nfs://SERVER/PATH, hostpath:/PATH, class[:NAME] or claim:NAME' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l size -d 'What each claim asks for, such as 10Gi [default: 1Gi]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l access-mode -d 'Access mode of volumes and claims: ReadWriteOnce, ReadWriteMany or ReadWriteOncePod' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l volume-prefix -d 'Prefix of the static volumes\' names: pv makes pv1, pv2, pv3 [default: pv]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l set -d 'A setting of PostgreSQL\'s, again for more [default: what runs]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l config -d 'File of PostgreSQL\'s settings, in the syntax of postgresql.conf' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l synchronous -d 'For how many replicas a commit waits; 0 for none [default: what runs]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l tls -d 'Encrypt every connection, by a certificate that pgset makes and renews [default: what runs]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l tls-secret -d 'The same by a Secret of your own, with ca.crt, tls.crt and tls.key' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l templates -d 'Directory of your own templates' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l requests -d 'What each container is promised, such as cpu=500m,memory=1Gi' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l limits -d 'What each container can\'t exceed; none takes a limit away: cpu=none' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l node-selector -d 'Label that a node must have' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l toleration -d 'Taint that the pods put up with, such as dedicated=db:NoSchedule' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l image-pull-secret -d 'Secret that opens the image\'s registry' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l label -d 'Label of every object and pod' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l annotation -d 'Annotation of every object and pod' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l network-policy -d 'Let pods of this namespace in, and nobody else' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l termination-grace-period -d 'How long a pod may take to stop before it is killed [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand diff" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand diff" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand diff" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand diff" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and not __fish_seen_subcommand_from export" -f -a "export" -d 'Write the built-in templates into a directory, to start from'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand templates; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand env" -l replicas -d 'Number of pods, the master included [default: what runs, else 2]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l image -d 'Image [default: the article\'s when CCP_IMAGE_TAG is set, else postgres:17]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l postgres-version -d 'Major version of PostgreSQL, 13 to 18: the image postgres:N' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l profile -d 'How the image is run [default: by its name]' -r -f -a "crunchy\t'Crunchy\'s images of 2017 to 2019'
postgres\t'PostgreSQL\'s official image'"
complete -c pgset -n "__fish_pgset_using_subcommand env" -l storage -d 'Where the data lies: nfs://SERVER/PATH, hostpath:/PATH, class[:NAME] or claim:NAME' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l size -d 'What each claim asks for, such as 10Gi [default: 1Gi]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l access-mode -d 'Access mode of volumes and claims: ReadWriteOnce, ReadWriteMany or ReadWriteOncePod' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l volume-prefix -d 'Prefix of the static volumes\' names: pv makes pv1, pv2, pv3 [default: pv]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l set -d 'A setting of PostgreSQL\'s, again for more [default: what runs]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l config -d 'File of PostgreSQL\'s settings, in the syntax of postgresql.conf' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand env" -l synchronous -d 'For how many replicas a commit waits; 0 for none [default: what runs]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l tls -d 'Encrypt every connection, by a certificate that pgset makes and renews [default: what runs]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l tls-secret -d 'The same by a Secret of your own, with ca.crt, tls.crt and tls.key' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l templates -d 'Directory of your own templates' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand env" -l requests -d 'What each container is promised, such as cpu=500m,memory=1Gi' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l limits -d 'What each container can\'t exceed; none takes a limit away: cpu=none' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l node-selector -d 'Label that a node must have' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l toleration -d 'Taint that the pods put up with, such as dedicated=db:NoSchedule' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l image-pull-secret -d 'Secret that opens the image\'s registry' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l label -d 'Label of every object and pod' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l annotation -d 'Annotation of every object and pod' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l network-policy -d 'Let pods of this namespace in, and nobody else' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l termination-grace-period -d 'How long a pod may take to stop before it is killed [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand env" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand env" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand env" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand env" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand env" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand env" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand env" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -l directory -d 'Where it lives [default: /tmp/pgset-sandbox-UID]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -f -a "start" -d 'Start it in the background; what was in it when it was stopped comes back'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -f -a "status" -d 'Say whether it runs, and where; exit code 1 when it does not'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -f -a "logs" -d 'Print what it said since it was first started'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -f -a "stop" -d 'Stop it and all that runs in it; what is in it stays'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -f -a "run" -d 'Start one, run a command with KUBECONFIG set, stop it, and end as the command did'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and not __fish_seen_subcommand_from start status logs stop run serve" -f -a "serve" -d 'Be the process in the background'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -l directory -d 'Where it lives [default: /tmp/pgset-sandbox-UID]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l directory -d 'Where it lives [default: /tmp/pgset-sandbox-UID]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -l directory -d 'Where it lives [default: /tmp/pgset-sandbox-UID]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -l directory -d 'Where it lives [default: /tmp/pgset-sandbox-UID]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -l delete -d 'Delete what is in it, the data of its volumes included'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l directory -d 'Where it lives [default: /tmp/pgset-sandbox-UID]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -l directory -d 'Where it lives [default: /tmp/pgset-sandbox-UID]' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -l passing -d 'Delete the directory at the end'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand sandbox; and __fish_seen_subcommand_from serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand completions" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand completions" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand completions" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand completions" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand completions" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand completions" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand completions" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand completions" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand completions" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand completions" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c pgset -n "__fish_pgset_using_subcommand man" -l kubeconfig -d 'Kubeconfig file' -r -F
complete -c pgset -n "__fish_pgset_using_subcommand man" -l context -d 'Context of the kubeconfig' -r
complete -c pgset -n "__fish_pgset_using_subcommand man" -s n -l namespace -d 'Namespace of the set' -r
complete -c pgset -n "__fish_pgset_using_subcommand man" -l name -d 'Name of the set [default: pgset]' -r
complete -c pgset -n "__fish_pgset_using_subcommand man" -s o -l output -d 'Output format, where the command has it' -r -f -a "human\t'For people'
json\t'JSON, a document or a line per event'
yaml\t'YAML'
junit\t'JUnit XML'
env\t'Lines NAME=VALUE for a shell or an env file'"
complete -c pgset -n "__fish_pgset_using_subcommand man" -l color -d 'When to color' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c pgset -n "__fish_pgset_using_subcommand man" -l timeout -d 'How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]' -r
complete -c pgset -n "__fish_pgset_using_subcommand man" -s q -l quiet -d 'Say only what went wrong'
complete -c pgset -n "__fish_pgset_using_subcommand man" -s v -l verbose -d 'Say more: -v, -vv, -vvv'
complete -c pgset -n "__fish_pgset_using_subcommand man" -s y -l yes -d 'Answer every question with yes'
complete -c pgset -n "__fish_pgset_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
