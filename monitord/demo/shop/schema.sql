-- The shop's tables: page views come each second, orders are imported once an hour (here: some seconds).
CREATE TABLE page_views (
  id bigserial PRIMARY KEY, path text NOT NULL, seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE orders (
  id bigserial PRIMARY KEY, total numeric(10, 2) NOT NULL, paid boolean NOT NULL DEFAULT true,
  placed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_placed_at ON orders (placed_at);
