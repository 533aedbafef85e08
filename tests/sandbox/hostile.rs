//! SQL that pgset and the pods run by themselves, as the superuser: a function of a user never runs in it (fault 41).

use super::{World, official};

/// A role setting puts `public` before `pg_catalog`, and functions there note who ran them.
const HOSTILE: &str = "
create table public.ran (what text, as_whom name);
create function public.note(what text) returns void language sql as
  $$ insert into public.ran values (what, current_user) $$;
create function public.row_to_json(record) returns json language plpgsql as
  $$ begin perform public.note('row_to_json'); return pg_catalog.row_to_json($1); end $$;
create function public.pg_is_in_recovery() returns boolean language plpgsql as
  $$ begin perform public.note('pg_is_in_recovery'); return pg_catalog.pg_is_in_recovery(); end $$;
create function public.current_setting(text) returns text language plpgsql as
  $$ begin perform public.note('current_setting'); return pg_catalog.current_setting($1); end $$;
alter role postgres set search_path = public, pg_catalog;
alter database postgres set search_path = public, pg_catalog;
";

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn no_function_of_a_user_runs_as_the_superuser() {
    let world = World::start().await;
    let call = |line: &str| official(world.pgset(line));
    call("up").run().await.ok();
    call("psql -- -d postgres").run_with(HOSTILE).await.ok();
    let ran = async || {
        let count =
            call("psql -- -d postgres -XAtc").arg("select pg_catalog.count(*) from public.ran");
        count.run().await.ok().stdout.trim().to_owned()
    };
    call("psql -- -d postgres -c").arg("select pg_is_in_recovery()").run().await.ok();
    assert_eq!(ran().await, "1", "what a person sends is theirs");
    for line in
        ["status", "up --set work_mem=8MB", "test", "scale --replicas 3", "restart --all --yes"]
    {
        call(line).run().await.ok();
    }
    assert_eq!(ran().await, "1");
    world.stop().await;
}
