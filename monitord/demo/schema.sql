-- The fleet's tables, keys and indexes, as the monitored system has them.
CREATE TABLE user_signals (
  epoch bigint NOT NULL, channel text NOT NULL, user_hash text NOT NULL, signal_type text NOT NULL,
  value real, "timestamp" bigint NOT NULL,
  PRIMARY KEY (epoch, channel, user_hash, signal_type, "timestamp")
);
CREATE INDEX user_signals_epoch ON user_signals (epoch);

CREATE TABLE channel_participation (
  epoch bigint NOT NULL, channel text NOT NULL, user_hash text NOT NULL, first_seen bigint,
  token_group text, category text,
  PRIMARY KEY (epoch, channel, user_hash)
);
CREATE INDEX channel_participation_channel ON channel_participation (channel);
CREATE INDEX channel_participation_epoch ON channel_participation (epoch);
CREATE INDEX channel_participation_group_channel_epoch ON channel_participation (token_group, channel, epoch);
CREATE INDEX channel_participation_group_epoch ON channel_participation (token_group, epoch);

CREATE TABLE sealed_epochs (
  epoch bigint NOT NULL, channel text NOT NULL, root text NOT NULL, sealed_at bigint,
  published int DEFAULT 0, token_group text NOT NULL, category text NOT NULL DEFAULT 'default',
  published_at timestamptz,
  PRIMARY KEY (epoch, channel, token_group, category)
);
CREATE INDEX sealed_epochs_epoch ON sealed_epochs (epoch DESC);
CREATE INDEX sealed_epochs_group_epoch_channel ON sealed_epochs (token_group, epoch, channel);
CREATE INDEX sealed_epochs_category_group_epoch ON sealed_epochs (category, token_group, epoch);
CREATE INDEX sealed_epochs_published ON sealed_epochs (published);

CREATE TABLE sealed_participants (
  epoch bigint NOT NULL, channel text NOT NULL, idx int NOT NULL, user_hash text NOT NULL, username text,
  token_group text, category text,
  PRIMARY KEY (epoch, channel, idx)
);
CREATE INDEX sealed_participants_epoch_channel ON sealed_participants (epoch, channel);
CREATE INDEX sealed_participants_group_epoch_channel ON sealed_participants (token_group, epoch, channel);

CREATE TABLE l2_tree_cache (
  epoch bigint NOT NULL, channel text NOT NULL, root text NOT NULL, levels_json text,
  participant_count int, built_at bigint,
  PRIMARY KEY (epoch, channel)
);
