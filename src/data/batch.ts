/**
 * Packs token sequences into the rows of one batch. A tree is a trunk (the prompt) with branches (its responses),
 * which do not attend to each other, so K responses share one pass over their prompt. Short trees share a row without
 * attending to each other. Only the grid of attention has padding.
 */

/** A trunk with branches, such as a prompt with its responses; plain text is a trunk alone. */
export type Tree = {
  trunk: ArrayLike<number>
  /** 1 where a token of the trunk is a target (the first never is: no token predicts it). */
  trunkTargets?: ArrayLike<number>
  /** Labels of the trunk's tokens, where they differ from the tokens. */
  trunkLabels?: ArrayLike<number>
  branches: readonly ArrayLike<number>[]
}

/**
 * Which hidden states are read. `next`: those before each target, which predict it. For scores, which have no label (it is 0):
 * `last`, that of each branch's last token (the trunk's, where a branch is empty), or `each`, those of all tokens of the
 * branches.
 */
export type Aim = 'next' | 'last' | 'each'

/**
 * N tokens on a grid of B rows by T columns. A target: the hidden state of token `index` should predict `label`, and belongs to
 * `sequence`: g*K + k for branch k of tree g, G*K + g for the trunk of tree g, of G trees.
 */
export type PackedBatch = {
  B: number
  T: number
  /** [N] */
  ids: ArrayLike<number>
  /** [N] position of each token in its own text */
  positions: ArrayLike<number>
  /** [N] place b*T + t of each token */
  places: ArrayLike<number>
  /** [N] tree of each token */
  groups: ArrayLike<number>
  /** [N] 0 in a trunk, 1.. in its branches */
  segments: ArrayLike<number>
  /** [N] kind of each token, which some encoders tell apart; all 0 without */
  types?: ArrayLike<number>
  /** [M] */
  targets: { index: ArrayLike<number>; label: ArrayLike<number>; sequence: ArrayLike<number> }
}

const treeLength = ({ trunk, branches }: Tree) => branches.reduce((n, branch) => n + branch.length, trunk.length)

/** Row and first column of each text by first-fit decreasing: longest first, each into the first row with room. */
export const rowsOf = (lengths: readonly number[]) => {
  const T = Math.max(...lengths)
  const filled: number[] = []
  const start = new Map<number, { row: number; column: number }>()
  for (const g of lengths.map((_, i) => i).sort((a, b) => lengths[b] - lengths[a] || a - b)) {
    let row = filled.findIndex((used) => used + lengths[g] <= T)
    if (row < 0) row = filled.push(0) - 1
    start.set(g, { row, column: filled[row] })
    filled[row] += lengths[g]
  }
  return { B: filled.length, T, start }
}

/** Groups trees into passes of at most so many tokens, in order; a longer tree has a pass of its own. */
export const passesOf = (trees: readonly Tree[], tokens: number): Tree[][] => {
  const passes: Tree[][] = []
  let room = 0
  for (const tree of trees) {
    const length = treeLength(tree)
    if (passes.length === 0 || length > room) {
      passes.push([])
      room = tokens
    }
    passes.at(-1)!.push(tree)
    room -= length
  }
  return passes
}

/** Attention costs the square of the longest tree, so trees shorter than this share of it get a grid of their own. */
const similarLength = 0.75
/** Among trees shorter than this attention costs too little to be worth another pass. */
const worthSplitting = 128

/** One batch for trees of similar lengths each, longest first. Sequences are numbered over all trees, as by `pack`. */
export const packs = (trees: readonly Tree[], K: number, aim: Aim = 'next'): PackedBatch[] => {
  const lengths = trees.map(treeLength)
  const buckets: number[][] = []
  for (const g of lengths.map((_, i) => i).sort((a, b) => lengths[b] - lengths[a] || a - b)) {
    const longest = buckets.length ? lengths[buckets[buckets.length - 1][0]] : Number.POSITIVE_INFINITY
    if (lengths[g] < similarLength * longest && longest > worthSplitting) buckets.push([])
    buckets[buckets.length - 1].push(g)
  }
  return buckets.map((bucket) =>
    pack(
      bucket.map((g) => trees[g]),
      K,
      { number: bucket, total: trees.length },
      aim,
    ),
  )
}

/**
 * All trees in one batch.
 * @param K branches that a tree may have, for numbering; trees with fewer leave gaps
 * @param all where these are only some: each one's number, and how many there are
 * @param columns gives each tree a row of its own with so many columns, so that what is computed for it is the same to the last bit
 *   whatever else is in the batch
 */
export const pack = (
  trees: readonly Tree[],
  K: number,
  all: { number: readonly number[]; total: number } = { number: trees.map((_, g) => g), total: trees.length },
  aim: Aim = 'next',
  columns?: number,
): PackedBatch => {
  const { B, T, start } =
    columns === undefined
      ? rowsOf(trees.map(treeLength))
      : { B: trees.length, T: columns, start: new Map(trees.map((_, g) => [g, { row: g, column: 0 }])) }
  const token = {
    ids: [] as number[],
    positions: [] as number[],
    places: [] as number[],
    groups: [] as number[],
    segments: [] as number[],
  }
  const target = { index: [] as number[], label: [] as number[], sequence: [] as number[] }
  const aimAt = (index: number, label: number, sequence: number) => {
    target.index.push(index)
    target.label.push(label)
    target.sequence.push(sequence)
  }
  trees.forEach(({ trunk, trunkTargets, trunkLabels = trunk, branches }, g) => {
    const { row, column } = start.get(g)!
    let place = row * T + column
    const stand = (id: number, position: number, segment: number): number => {
      token.positions.push(position)
      token.places.push(place++)
      token.groups.push(g)
      token.segments.push(segment)
      return token.ids.push(id) - 1
    }
    let last = -1
    for (let t = 0; t < trunk.length; t++) {
      if (aim === 'next' && t > 0 && trunkTargets?.[t]) aimAt(last, trunkLabels[t], all.total * K + all.number[g])
      last = stand(trunk[t], t, 0)
    }
    branches.forEach((branch, k) => {
      const sequence = all.number[g] * K + k
      let before = last
      for (let t = 0; t < branch.length; t++) {
        if (aim === 'next' && before >= 0) aimAt(before, branch[t], sequence)
        before = stand(branch[t], trunk.length + t, k + 1)
        if (aim === 'each') aimAt(before, 0, sequence)
      }
      if (aim === 'last') aimAt(before, 0, sequence)
    })
  })
  return { B, T, ...token, targets: target }
}
