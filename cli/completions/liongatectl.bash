# Bash completion of liongatectl: verbs, their flags, and names of loaded plugins where a plugin is wanted.

_liongatectl_plugins() {
  # A daemon that does not answer at once must not hang the shell.
  timeout 1 liongatectl "$@" list-plugins -o json 2>/dev/null |
    grep -o '"plugin_id":"[^"]*","name":"[^"]*"' | sed 's/.*"name":"//; s/"$//'
}

_liongatectl() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb='' word i
  local -a where=()
  local verbs='load-plugin unload-plugin reload-plugin start-plugin stop-plugin restart-plugin pause-plugin
    resume-plugin list-plugins get-plugin get-plugin-health get-plugin-logs set-plugin-config invoke-plugin run-plugin
    replay-log verify-log repair-log export-checkpoint export-log-key get-status check-host doctor reload-config shutdown
    validate-manifest list-permissions explain-permissions test-policy grant-permission
    revoke-permission version'
  local global='--socket --address --output --help'
  COMPREPLY=()

  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      --socket | --address)
        where+=("$word" "${COMP_WORDS[i + 1]}")
        ((i++))
        ;;
      -o | --output) ((i++)) ;;
      -*) ;;
      *)
        verb=$word
        break
        ;;
    esac
  done

  case $prev in
    -o | --output)
      mapfile -t COMPREPLY < <(compgen -W 'table json jsonl cloudevents' -- "$cur")
      return
      ;;
    --durability)
      mapfile -t COMPREPLY < <(compgen -W 'durable before_run batch async' -- "$cur")
      return
      ;;
    --type)
      mapfile -t COMPREPLY < <(compgen -W 'DaemonStarted DaemonStopping DaemonStopped LogRecovered PluginLoaded
        PluginLoadFailed PluginStarted PluginStopping PluginStopped PluginUnloaded PluginReloaded PluginFailed
        InstanceCreated InstanceCrashed InstanceRestarted PluginInvoked PluginResult PluginError PluginLog
        PermissionDenied PermissionsGranted PermissionOverridden SecretDelivered SandboxPosture
        PluginConfigChanged ConfigChanged PluginsFileRead ObserverGap ObserverCursorReset' -- "$cur")
      return
      ;;
    --environment)
      mapfile -t COMPREPLY < <(compgen -W 'development testing staging production' -- "$cur")
      return
      ;;
    --socket | --manifest | -m | --policy | -p | --input-file | --checkpoint | --key | --file)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      return
      ;;
    --state-dir)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -d -- "$cur")
      return
      ;;
    --plugin | --plugin-id | --id)
      mapfile -t COMPREPLY < <(compgen -W "$(_liongatectl_plugins "${where[@]}")" -- "$cur")
      return
      ;;
  esac

  if [[ -z $verb ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$verbs $global" -- "$cur")
    return
  fi

  local flags=$global
  case $verb in
    load-plugin) flags+=' --manifest --replace --no-start --accept-permissions' ;;
    reload-plugin) flags+=' --plugin-id --accept-permissions' ;;
    unload-plugin) flags+=' --plugin-id --all --if-loaded' ;;
    explain-permissions) flags+=' --plugin-id --manifest' ;;
    grant-permission | revoke-permission) flags+=' --plugin-id --permission' ;;
    test-policy) flags+=' --policy --manifest --environment --caller' ;;
    run-plugin)
      flags+=' --learn --save --rounds-max'
      flags+=' --manifest --input --input-file --operation --correlation-id --timeout --stream --show-log --durability'
      ;;
    invoke-plugin)
      flags+=' --plugin-id --input --input-file --operation --correlation-id --timeout --stream --show-log --durability'
      ;;
    replay-log)
      flags+=' --after-seq --plugin --type --correlation-id --actor --text --since --until --limit --follow --summary'
      flags+=' --audit --explain'
      ;;
    get-plugin-logs) flags+=' --plugin-id --follow --tail' ;;
    set-plugin-config) flags+=' --plugin-id --config' ;;
    verify-log) flags+=' --state-dir --state --checkpoint --key' ;;
    export-checkpoint | export-log-key) flags+=' --file --state-dir' ;;
    repair-log) flags+=' --state-dir' ;;
    validate-manifest) flags+=' --manifest' ;;
    *-plugin | get-plugin-health) flags+=' --plugin-id' ;;
  esac

  if [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    return
  fi
  case $verb in
    load-plugin | validate-manifest | test-policy)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      ;;
    invoke-plugin | get-plugin | get-plugin-health | get-plugin-logs | set-plugin-config | unload-plugin | \
      explain-permissions | grant-permission | revoke-permission | reload-plugin | start-plugin | stop-plugin | restart-plugin | pause-plugin | resume-plugin)
      mapfile -t COMPREPLY < <(compgen -W "$(_liongatectl_plugins "${where[@]}")" -- "$cur")
      ;;
  esac
}

complete -F _liongatectl liongatectl
