"""The sizes of small random decoders of transformers, which several families share."""

SHAPE = {
    "vocab_size": 512,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 96,
    "initializer_range": 0.3,  # so that attention and MLPs matter
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 24,
}
# Of three pairs the first is kept, the second more kept than stretched, the third more stretched than kept.
YARN = {
    "rope_type": "yarn",
    "rope_theta": 1000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
    "beta_fast": 4.0,
    "beta_slow": 0.1,
    "attention_factor": 1.3,
}
# The betas and the original length are those that transformers takes by itself. The ramp goes from pair -1, which is
# cut to 0, to pair 2.
BARE_YARN = {"rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0}
