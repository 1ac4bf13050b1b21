"""What the encoder is trained to minimise: the paper's, the released code's, and ours."""
