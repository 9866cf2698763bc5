"""A password in a URL is never printed."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from hpo.errors import SettingsError
from hpo.escaping import hide_password
from hpo.settings import ServiceSettings

SECRET = "s3cr3t"
schemes = st.sampled_from(
    ["postgresql", "postgresql+psycopg", "mysql", "http", "https", "redis", "ftp", "file", ""]
)
hosts = st.sampled_from(["db", "db:5432", "127.0.0.1", "db.example.org:80", "[::1]:5432", ""])
paths = st.sampled_from(["", "/", "/optuna", "/optuna?timeout=5", "//x"])
# An "@" before a "/" in one password is tested, and fails, in tests/unit/test_settings.py.
fillers = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/"), max_size=12
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="@"), max_size=12)
passwords = fillers.map(lambda filler: f"{SECRET}{filler}{SECRET}")
users = st.from_regex(r"[A-Za-z0-9._-]{0,8}", fullmatch=True)
urls = st.builds("{}://{}:{}@{}{}".format, schemes, users, passwords, hosts, paths)


@given(urls)
@example(f"postgresql://me:{SECRET}/{SECRET}@db/optuna")
@example(f"postgresql://me:{SECRET}@{SECRET}@db/optuna")
def test_password_is_hidden(url):
    shown = hide_password(url)
    assert SECRET not in shown
    assert ":***@" in shown


@given(
    hosts,
    paths.filter(lambda path: "?" not in path),
    fillers.map(lambda filler: filler.replace("&", "")),
)
def test_password_in_the_query_is_hidden(host, path, filler):
    shown = hide_password(f"postgresql://{host}{path}?user=me&password={SECRET}{filler}{SECRET}")
    assert SECRET not in shown


@given(
    schemes, users, passwords, st.sampled_from(["db", "db:5432"]), st.sampled_from(["", "/optuna"])
)
def test_the_rest_stays(scheme, user, password, host, path):
    assert (
        hide_password(f"{scheme}://{user}:{password}@{host}{path}")
        == f"{scheme}://{user}:***@{host}{path}"
    )


@given(urls)
def test_hiding_twice_changes_nothing(url):
    assert hide_password(hide_password(url)) == hide_password(url)


@given(st.text())
def test_text_that_is_no_url_is_left_alone_or_shown_shorter(text):
    shown = hide_password(text)
    assert shown == text or ":***@" in shown


# A bracket is tested, and fails, in tests/unit/test_settings.py.
@given(
    urls.filter(lambda url: "[" not in url and "]" not in url),
    st.sampled_from(["storage", "tracking_uri"]),
)
def test_settings_are_made_or_refused_without_the_password(url, field):
    said = ""
    try:
        ServiceSettings(**{field: url})
    except SettingsError as error:
        said = f"{error} {error.hint}"
    assert SECRET not in said
    assert len(said.splitlines()) <= 1
