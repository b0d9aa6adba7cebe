"""Peers of `experiments.bench`: small models as one writes them in PyTorch.

Each is the model of mlc/models of the same config: same layers, widths,
activations and number of weights. Batches are cut from tensors, without a
DataLoader, which would only slow them down.
"""

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # pyright: ignore[reportMissingImports]


def gelu():
  """The tanh form, which flax takes by default."""
  return nn.GELU(approximate='tanh')


def trunk(num_features: int, width: int, dropout: float):
  """Encoder `MLP` with one layer."""
  return nn.Sequential(
    nn.Linear(num_features, width),
    nn.LayerNorm(width, eps=1e-6),
    gelu(),
    nn.Dropout(dropout),
  )


class Heads(nn.Module):
  """Model `independent`."""

  def __init__(self, encoder, width, num_labels):
    super().__init__()
    self.encoder, self.head = encoder, nn.Linear(width, num_labels)

  def forward(self, x, y):
    return self.head(self.encoder(x))


class Chain(nn.Module):
  """Model `chain`: a module per link, called one after the other."""

  def __init__(self, encoder, width, num_labels, hidden):
    super().__init__()
    self.encoder = encoder
    self.links = nn.ModuleList()
    for label in range(num_labels):
      inputs = width + label
      self.links.append(
        nn.Sequential(nn.Linear(inputs, hidden), gelu(), nn.Linear(hidden, 1))
        if hidden
        else nn.Linear(inputs, 1)
      )

  def forward(self, x, y):
    h = self.encoder(x)
    logits = [
      link(torch.cat([h, y[:, :label]], 1))
      for label, link in enumerate(self.links)
    ]
    return torch.cat(logits, 1)


class MaskedChain(nn.Module):
  """Model `chain`: all links at once, by a mask on the label weights."""

  def __init__(self, encoder, width, num_labels, hidden):
    super().__init__()
    self.encoder, self.hidden = encoder, hidden
    self.from_h = nn.Linear(width, num_labels * (hidden or 1))
    shape = num_labels, num_labels, hidden or 1
    self.kernel_LxLxH = nn.Parameter(torch.randn(shape) / num_labels**0.5)
    before_LxL = torch.ones(num_labels, num_labels).triu(1)
    self.register_buffer('before_LxL', before_LxL)
    if hidden:
      self.out_LxH = nn.Parameter(torch.randn(shape[1:]) / hidden**0.5)
      self.bias_L = nn.Parameter(torch.zeros(num_labels))

  def forward(self, x, y):
    kernel_LxLxH = self.kernel_LxLxH * self.before_LxL[..., None]
    from_y = y @ kernel_LxLxH.flatten(1)
    h = self.from_h(self.encoder(x)) + from_y
    if not self.hidden:
      return h
    h_BxLxH = F.gelu(h.unflatten(1, self.out_LxH.shape), approximate='tanh')
    return (h_BxLxH * self.out_LxH).sum(-1) + self.bias_L


class Transformer(nn.Module):
  """Model `transformer`."""

  def __init__(self, encoder, encoding, num_labels, width, heads, depth):
    super().__init__()
    self.encoder = encoder
    # 0 and 1 of each label, then a start token.
    self.values = nn.Embedding(2 * num_labels + 1, width)
    self.queries = nn.Embedding(num_labels, width)
    self.context = nn.Linear(encoding, width)
    block = nn.TransformerEncoderLayer(
      width, heads, 4 * width, dropout=0.0, activation=gelu(),
      batch_first=True, norm_first=True, layer_norm_eps=1e-6,
    )  # fmt: skip
    self.blocks = nn.TransformerEncoder(
      block,
      depth,
      norm=nn.LayerNorm(width, eps=1e-6),
      enable_nested_tensor=False,
    )
    self.out_LxH = nn.Parameter(torch.randn(num_labels, width) / width**0.5)
    self.bias_L = nn.Parameter(torch.zeros(num_labels))
    steps_L = torch.arange(num_labels)
    self.register_buffer('steps_L', steps_L)
    causal_LxL = nn.Transformer.generate_square_subsequent_mask(num_labels)
    self.register_buffer('causal_LxL', causal_LxL)

  def forward(self, x, y):
    before = 2 * self.steps_L[:-1] + y[:, :-1].long()
    start = torch.full((len(y), 1), self.values.num_embeddings - 1)
    values = self.values(torch.cat([start, before], 1))
    context = self.context(self.encoder(x))[:, None]
    h_BxLxH = values + self.queries(self.steps_L) + context
    h_BxLxH = self.blocks(h_BxLxH, mask=self.causal_LxL, is_causal=True)
    return (h_BxLxH * self.out_LxH).sum(-1) + self.bias_L


def network(model: str, config, num_features: int, num_labels: int, masked):
  """What experiments/suites/training.py names: with new weights."""
  encoder, width = nn.Identity(), num_features
  if config.encoder.name == 'MLP':
    (width,) = config.encoder.widths
    encoder = trunk(num_features, width, config.encoder.dropout)
  if model == 'independent':
    return Heads(encoder, width, num_labels)
  if model == 'transformer':
    sizes = (config.model[key] for key in ('width', 'heads', 'depth'))
    return Transformer(encoder, width, num_labels, *sizes)
  chain = MaskedChain if masked else Chain
  return chain(encoder, width, num_labels, config.model.hidden)


def fit(net, train, valid, config, fused: bool) -> list[float]:
  """All epochs of `config` -> the validation loss after each.

  train, valid: (x, y), float tensors.
  """
  x, y = train
  optimizer = torch.optim.AdamW(
    net.parameters(),
    lr=config.optimizer.lr,
    weight_decay=config.optimizer.weight_decay,
    fused=fused or None,
  )
  losses = []
  for _ in range(config.epochs):
    net.train()
    for rows in torch.randperm(len(x)).split(config.batch_size):
      y_BxL = y[rows]
      logits_BxL = net(x[rows], y_BxL)
      loss = F.binary_cross_entropy_with_logits(logits_BxL, y_BxL)
      optimizer.zero_grad()
      loss.backward()
      optimizer.step()
    net.eval()
    with torch.no_grad():
      logits_NxL = net(valid[0], valid[1])
      loss = F.binary_cross_entropy_with_logits(logits_NxL, valid[1])
      losses.append(loss.item())
  return losses
