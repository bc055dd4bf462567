/**
 * Trainable parameters, their gradients and the optimizer's state, each as a few flat arrays (arenas). A parameter is
 * a view of its arena. So the optimizer runs over slices that fit the processor's cache, whatever the shapes of the
 * parameters, and a checkpoint is a few arrays. Parameters with and without weight decay have separate arenas.
 */
import type { Backend, Handle } from '../runtime/backend.ts'
import { numel } from '../util/shape.ts'

export type Entry = { name: string; shape: readonly number[]; decays: boolean }

export type Arena = {
  decays: boolean
  entries: readonly (Entry & { offset: number })[]
  size: number
  params: Handle
  grads: Handle
  /** By the optimizer's names (m, v, ...). */
  state: Readonly<Record<string, Handle>>
}

/** Elements of one arena at most: 2 GiB, below what one buffer holds on Node 20. */
const arenaLimit = 2 ** 29

/** Where each parameter lies: the arenas that `makeArenas` makes of these, in their order. */
export const placesInArenas = (entries: readonly Entry[]): Pick<Arena, 'decays' | 'entries' | 'size'>[] =>
  [true, false].flatMap((decays) =>
    bins(entries.filter((entry) => entry.decays === decays)).map((bin) => {
      let size = 0
      const placed = bin.map((entry) => {
        const at = { ...entry, offset: size }
        size += numel(entry.shape)
        return at
      })
      return { decays, entries: placed, size }
    }),
  )

export const makeArenas = (backend: Backend, entries: readonly Entry[], stateNames: readonly string[]): Arena[] =>
  placesInArenas(entries).map((arena) => {
    const array = () => backend.zeros([arena.size])
    const state = Object.fromEntries(stateNames.map((name) => [name, array()]))
    return { ...arena, params: array(), grads: array(), state }
  })

const bins = (entries: readonly Entry[]): Entry[][] => {
  const filled: Entry[][] = []
  let room = 0
  for (const entry of entries) {
    const size = numel(entry.shape)
    if (size > room) {
      filled.push([])
      room = arenaLimit
    }
    filled[filled.length - 1].push(entry)
    room -= size
  }
  return filled
}

/** Handles of each parameter, or of its gradient, within the arenas. */
export const viewsOf = (backend: Backend, arenas: readonly Arena[], of: 'params' | 'grads'): Map<string, Handle> =>
  new Map(
    arenas.flatMap((arena) =>
      arena.entries.map(({ name, offset, shape }) => [name, backend.view(arena[of], offset, shape)] as const),
    ),
  )
