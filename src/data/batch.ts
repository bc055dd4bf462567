/**
 * Packs token sequences into the rows of one batch. A tree is a trunk (the prompt) with branches (its responses),
 * which do not attend to each other, so K responses share one pass over their prompt. Short trees share a row without
 * attending to each other. Only the grid of attention has padding.
 */

/** A trunk with branches; plain text is a trunk alone. */
export type Tree = {
  trunk: ArrayLike<number>
  /** 1 where a token of the trunk counts as a target (the first never does: nothing comes before it). */
  trunkTargets?: ArrayLike<number>
  /** What is to be predicted at each token of the trunk, where that is not the token itself. */
  trunkLabels?: ArrayLike<number>
  branches: readonly ArrayLike<number>[]
}

/**
 * Which hidden states a batch is asked about. `next`: those that predict a target, one before each. For scores, which
 * have no label (0 stands there): `last`, that of each branch's last token (the trunk's, where a branch is empty), or
 * `each`, those of all tokens of the branches.
 */
export type Aim = 'next' | 'last' | 'each'

/**
 * Places are a grid of B rows by T columns; N tokens stand on them. A target says: the hidden state of token `index`
 * should predict `label`, on account of `sequence`: branch k of tree g is g*K + k, the trunk of tree g is G*K + g.
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
  /** [M] */
  targets: { index: ArrayLike<number>; label: ArrayLike<number>; sequence: ArrayLike<number> }
}

const treeLength = ({ trunk, branches }: Tree) => branches.reduce((n, branch) => n + branch.length, trunk.length)

/** Row and first column of each tree: longest first, each into the first row with room (first-fit decreasing). */
const rowsOf = (trees: readonly Tree[]) => {
  const lengths = trees.map(treeLength)
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

/** Trees in their order, as many in a pass as have so many tokens together; a longer tree has one of its own. */
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

/** Attention pays for the square of the longest tree, so shorter ones get a grid of their own from here down. */
const alike = 0.75
/** Below this many places attention costs too little to be worth another pass. */
const worthwhile = 128

/** Trees of like length in a batch each, longest first. Sequences are numbered over all of them, as `pack` would. */
export const packs = (trees: readonly Tree[], K: number, aim: Aim = 'next'): PackedBatch[] => {
  const lengths = trees.map(treeLength)
  const buckets: number[][] = []
  for (const g of lengths.map((_, i) => i).sort((a, b) => lengths[b] - lengths[a] || a - b)) {
    const longest = buckets.length ? lengths[buckets[buckets.length - 1][0]] : Number.POSITIVE_INFINITY
    if (lengths[g] < alike * longest && longest > worthwhile) buckets.push([])
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
 */
export const pack = (
  trees: readonly Tree[],
  K: number,
  all: { number: readonly number[]; total: number } = { number: trees.map((_, g) => g), total: trees.length },
  aim: Aim = 'next',
): PackedBatch => {
  const { B, T, start } = rowsOf(trees)
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
