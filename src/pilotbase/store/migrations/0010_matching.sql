-- Vectors of texts that were matched, so that a model is asked once for each.
CREATE TABLE embeddings (
    digest TEXT PRIMARY KEY, -- SHA-256 of the model's name and the text
    vector TEXT NOT NULL, -- 32-bit floats, little endian, in base64
    made TEXT NOT NULL
);
