"""A seeded click log with the structure of a real one: tastes, prices, habits, popularity.

Users see ten items a session, click on what suits them and sometimes buy. What suits them depends on
combinations: the item's category under the user's taste, the brand under the user's level, the price under
what the user usually pays, and on what they clicked before. What a row says of the user was known before the
session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from rich.progress import track

if TYPE_CHECKING:
    from numpy.typing import NDArray

CATEGORIES, BRANDS, TAGS, CITIES, LEVELS = 40, 300, 200, 60, 6
SHOWN = 10  # items per session
HISTORY = 30  # clicks that a user is remembered by
DAY = 86_400
START = 1_750_000_000  # seconds since 1970: when the log begins

CATEGORY_NAMES = [f"{kind}_{i}" for kind in ("audio", "books", "garden", "shoes", "toys") for i in range(8)]
WORDS = [
    "classic",
    "compact",
    "deluxe",
    "eco",
    "light",
    "mini",
    "original",
    "pro",
    "soft",
    "urban",
    "vivid",
    "warm",
]


@dataclass(frozen=True)
class Clicks:
    """The log: `train` rows, `test` rows of users that training never saw, and the item table."""

    train: pa.Table
    test: pa.Table
    items: pa.Table


@dataclass(frozen=True)
class Items:
    """The catalogue, as the simulation sees it."""

    category: NDArray[np.int64]
    brand: NDArray[np.int64]
    price: NDArray[np.float64]
    tags: NDArray[np.int64]  # (items, 3)
    quality: NDArray[np.float64]
    published: NDArray[np.int64]
    popularity: NDArray[np.float64]


@dataclass(frozen=True)
class Users:
    """The users; `taste`, `budget` and `thrift` are hidden, the log only shows their traces."""

    age: NDArray[np.int64]
    gender: NDArray[np.int64]
    city: NDArray[np.int64]
    device: NDArray[np.int64]
    level: NDArray[np.int64]
    taste: NDArray[np.float64]  # (users, CATEGORIES)
    liked_tags: NDArray[np.int64]  # (users, 5)
    budget: NDArray[np.float64]
    thrift: NDArray[np.float64]


def generate(*, users: int = 4_000, items: int = 20_000, sessions: int = 6, seed: int = 7) -> Clicks:
    """Simulate the log. The last tenth of the users is held out whole."""
    rng = np.random.default_rng(seed)
    catalogue, people = make_items(rng, items), make_users(rng, users)
    likes_brand = rng.normal(0, 0.7, (LEVELS, BRANDS))
    likes_hour = rng.normal(0, 0.4, (24, CATEGORIES))
    history = past_clicks(rng, people, catalogue)
    when = START - rng.integers(1, 30 * DAY, history.shape)
    when.sort(axis=1)
    paid = people.budget * rng.lognormal(0, 0.2, users)
    tables = []
    for session in track(range(sessions), description="simulating sessions"):
        now = START + session * DAY + rng.integers(0, DAY, users)
        shown = draw_items(rng, catalogue, people, (users, SHOWN))
        hour = (now // 3600) % 24
        score = utility(people, catalogue, shown, history)
        score += likes_brand[people.level[:, None], catalogue.brand[shown]]
        score += likes_hour[hour[:, None], catalogue.category[shown]]
        clicked = rng.random(score.shape) < sigmoid(score - 1.9)
        bought = clicked & (rng.random(score.shape) < sigmoid(score - 1.2 + catalogue.quality[shown]))
        tables.append(log_rows(people, catalogue, shown, clicked, bought, history, when, now, paid))
        history, when = remember(history, when, shown, clicked, now)
    log = pa.concat_tables(tables)
    held_out = np.asarray(log["row_user"]) >= users - users // 10
    log = log.drop_columns(["row_user"])
    return Clicks(log.filter(pa.array(~held_out)), log.filter(pa.array(held_out)), item_table(catalogue))


def make_items(rng: np.random.Generator, count: int) -> Items:
    """Popularity falls off as in a shop; brands sell in few categories, each with its price level."""
    category = rng.choice(CATEGORIES, count, p=zipf(CATEGORIES, 0.7))
    brand = (category * 7 + rng.choice(25, count, p=zipf(25, 0.8))) % BRANDS
    level = rng.normal(3.5, 0.8, CATEGORIES)[category] + rng.normal(0, 0.3, BRANDS)[brand]
    return Items(
        category=category,
        brand=brand,
        price=np.exp(level + rng.normal(0, 0.4, count)).round(2),
        tags=(category[:, None] * 5 + rng.integers(0, 20, (count, 3))) % TAGS,
        quality=rng.normal(0, 0.5, count),
        published=START - rng.integers(0, 400 * DAY, count),
        popularity=rng.permutation(zipf(count, 0.6)),
    )


def make_users(rng: np.random.Generator, count: int) -> Users:
    """Few categories matter to a user, and how much a price matters differs."""
    taste = rng.normal(-0.6, 0.3, (count, CATEGORIES))
    favourites = rng.integers(0, CATEGORIES, (count, 5))
    np.put_along_axis(taste, favourites, rng.normal(1.3, 0.4, (count, 5)), axis=1)
    return Users(
        age=rng.integers(16, 75, count),
        gender=rng.integers(0, 3, count),
        city=rng.choice(CITIES, count, p=zipf(CITIES, 0.9)),
        device=rng.integers(0, 3, count),
        level=rng.integers(0, LEVELS, count),
        taste=taste,
        liked_tags=(favourites * 5 + rng.integers(0, 20, (count, 5))) % TAGS,
        budget=np.exp(rng.normal(3.5, 0.7, count)),
        thrift=np.abs(rng.normal(0.6, 0.3, count)),
    )


def past_clicks(rng: np.random.Generator, users: Users, items: Items) -> NDArray[np.int64]:
    """(users, HISTORY) item numbers clicked before the log began, latest last; -1 where there were fewer."""
    count = len(users.age)
    seen = draw_items(rng, items, users, (count, HISTORY * 4))
    order = np.argsort(
        -np.take_along_axis(users.taste, items.category[seen], 1) + rng.gumbel(size=seen.shape), axis=1
    )
    history = np.take_along_axis(seen, order[:, :HISTORY], axis=1)
    history[np.arange(HISTORY)[None, :] < rng.integers(0, HISTORY + 1, count)[:, None]] = -1
    return history


def draw_items(
    rng: np.random.Generator, items: Items, users: Users, shape: tuple[int, int]
) -> NDArray[np.int64]:
    """What a recall stage would send: popular items mostly, half of the rest near the user's taste."""
    shown = rng.choice(len(items.category), shape, p=items.popularity)
    spare = rng.choice(len(items.category), shape, p=items.popularity)
    better = np.take_along_axis(users.taste, items.category[spare], 1) > 0.5
    return np.where(better & (rng.random(shape) < 0.5), spare, shown)


def utility(
    users: Users, items: Items, shown: NDArray[np.int64], history: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(users, SHOWN): how well each item suits; most of it only shows when two sides are seen together."""
    taste = np.take_along_axis(users.taste, items.category[shown], 1)
    dearer = np.log(items.price[shown] / users.budget[:, None])
    tags = (items.tags[shown][..., None] == users.liked_tags[:, None, None, :]).any(-1).mean(-1)
    same = (items.category[history][:, None, :] == items.category[shown][..., None]) & (
        history[:, None, :] >= 0
    )
    habit = np.minimum(same.mean(-1) * 6, 1.5)
    fresh = np.exp(-(START - items.published[shown]) / (60 * DAY))
    price = -users.thrift[:, None] * np.abs(dearer)
    total: NDArray[np.float64] = taste + price + 1.2 * tags + 0.8 * habit + 0.6 * fresh
    return total + 0.7 * items.quality[shown]


def remember(
    history: NDArray[np.int64],
    when: NDArray[np.int64],
    shown: NDArray[np.int64],
    clicked: NDArray[np.bool_],
    now: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Append this session's clicks and keep the latest HISTORY of them."""
    history = np.concatenate([history, np.where(clicked, shown, -1)], axis=1)
    when = np.concatenate([when, np.broadcast_to(now[:, None], shown.shape)], axis=1)
    latest = np.argsort(history >= 0, axis=1, kind="stable")[:, -HISTORY:]
    return np.take_along_axis(history, latest, 1), np.take_along_axis(when, latest, 1)


def log_rows(  # noqa: PLR0917 - a row of the log is made of exactly these
    users: Users,
    items: Items,
    shown: NDArray[np.int64],
    clicked: NDArray[np.bool_],
    bought: NDArray[np.bool_],
    history: NDArray[np.int64],
    when: NDArray[np.int64],
    now: NDArray[np.int64],
    paid: NDArray[np.float64],
) -> pa.Table:
    """One row per impression: labels, the user as known then, the item id and the context."""
    user = np.repeat(np.arange(len(users.age)), SHOWN)
    columns = {
        name: array.take(pa.array(user))
        for name, array in user_columns(users, history, when, now, paid).items()
    }
    item = shown.ravel()
    columns |= {"item_id": pa.array([f"i{i}" for i in item])}
    columns |= {"hour": pa.array(((now // 3600) % 24)[user]), "now": pa.array(now[user])}
    columns |= {"scene": pa.array(np.array(["home", "search", "cart"])[(user + now[user]) % 3])}
    columns |= {
        "click": pa.array(clicked.ravel().astype(np.int32)),
        "buy": pa.array(bought.ravel().astype(np.int32)),
    }
    return pa.table(columns | {"row_user": pa.array(user)})


def user_columns(
    users: Users,
    history: NDArray[np.int64],
    when: NDArray[np.int64],
    now: NDArray[np.int64],
    paid: NDArray[np.float64],
) -> dict[str, pa.Array]:
    """What a profile service would say of every user: traces of the hidden tastes, and the clicks."""
    rows = range(len(users.age))
    top = np.argsort(-users.taste, axis=1)[:, :6]
    taste = [{CATEGORY_NAMES[c]: round(float(users.taste[u, c]), 2) for c in top[u]} for u in rows]
    clicks = [
        [(i, now[u] - t) for i, t in zip(history[u][::-1], when[u][::-1], strict=True) if i >= 0]
        for u in rows
    ]
    return {
        "user_id": pa.array([f"u{u}" for u in rows]),
        "age": pa.array(users.age),
        "gender": pa.array(np.array(["f", "m", ""])[users.gender]),
        "city": pa.array([f"city_{c}" for c in users.city]),
        "device": pa.array(np.array(["phone", "tablet", "desktop"])[users.device]),
        "level": pa.array(users.level),
        "avg_paid": pa.array(paid.round(2).astype(np.float32)),
        "taste": pa.array([list(t.items()) for t in taste], pa.map_(pa.string(), pa.float32())),
        "taste_by_device": pa.array([nested(t, users.device[u]) for u, t in zip(rows, taste, strict=True)]),
        "liked_tags": pa.array([[f"tag_{t}" for t in tags] for tags in users.liked_tags]),
        "tag_weights": pa.array(
            [[f"tag_{t}:{1 - k / 10:g}" for k, t in enumerate(tags)] for tags in users.liked_tags]
        ),
        "click_seq": pa.array([";".join(f"i{i}" for i, _ in c) for c in clicks]),
        "click_seq__ago_hours": pa.array([";".join(str(s // 3600) for _, s in c) for c in clicks]),
    }


def nested(taste: dict[str, float], device: int) -> str:
    """A nested map in its text form, outer key device: `phone^audio_1:0.9,books_2:0.4`."""
    inner = ",".join(f"{category}:{round(weight * 10)}" for category, weight in taste.items())
    return f"{('phone', 'tablet', 'desktop')[device]}^{inner}"


def item_table(items: Items) -> pa.Table:
    """The item table, one row per item id."""
    rng = np.random.default_rng(11)
    count = len(items.category)
    words = np.array(WORDS)[rng.integers(0, len(WORDS), (count, 3))]
    popularity = items.popularity * count
    embedding = np.stack([np.sin(items.category + k) + rng.normal(0, 0.2, count) for k in range(4)], axis=1)
    return pa.table(
        {
            "item_id": pa.array([f"i{i}" for i in range(count)]),
            "category": pa.array([CATEGORY_NAMES[c] for c in items.category]),
            "brand": pa.array([f"brand_{b}" for b in items.brand]),
            "price": pa.array(items.price.astype(np.float32)),
            "tags": pa.array([[f"tag_{t}" for t in dict.fromkeys(tags)] for tags in items.tags]),
            "title": pa.array(["\x1d".join(w) for w in words]),
            "published": pa.array(items.published),
            "ctr_7d": pa.array((sigmoid(items.quality + rng.normal(0, 0.3, count) - 2)).astype(np.float32)),
            "sold_30d": pa.array((popularity * 40).astype(np.int64)),
            "quality": pa.array(embedding.astype(np.float32).tolist(), pa.list_(pa.float32())),
            "shop_kind": pa.array(np.array(["own", "partner", ""])[items.brand % 3]),
        }
    )


def zipf(count: int, exponent: float) -> NDArray[np.float64]:
    """Falling probabilities of `count` ranks."""
    weights = np.arange(1, count + 1) ** -exponent
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-x))
