/** Dragging responses onto each other: before, after, or onto one to tie with it. */
import { combine } from '@atlaskit/pragmatic-drag-and-drop/combine'
import { draggable, dropTargetForElements } from '@atlaskit/pragmatic-drag-and-drop/element/adapter'
import { attachInstruction, extractInstruction } from '@atlaskit/pragmatic-drag-and-drop-hitbox/list-item'
import { type RefObject, useEffect, useRef, useState } from 'react'
import type { Place } from './ranks.ts'

const places = { 'reorder-before': 'before', 'reorder-after': 'after', combine: 'tie' } as const

export type Drop = (response: number, other: number, place: Place) => void

type Options = {
  response: number
  /** What is taken hold of. */
  handle: RefObject<HTMLElement | null>
  /** Where others are dropped. */
  target: RefObject<HTMLElement | null>
  /** Whether things stand side by side there. */
  sideways(): boolean
  onDrop: Drop
  enabled: boolean
}

const isResponse = (data: Record<string | symbol, unknown>): data is { response: number } =>
  typeof data.response === 'number'

/** @returns where what is held now would be put, to show it */
export const useDrag = ({
  response,
  handle,
  target,
  sideways,
  onDrop,
  enabled,
}: Options): Place | 'held' | undefined => {
  const [over, setOver] = useState<Place | 'held'>()
  const latest = useRef({ sideways, onDrop })
  latest.current = { sideways, onDrop }
  useEffect(() => {
    if (!enabled || !handle.current || !target.current) return
    const placeOf = (data: Record<string | symbol, unknown>) => {
      const instruction = extractInstruction(data)
      return instruction ? places[instruction.operation] : undefined
    }
    return combine(
      draggable({
        element: handle.current,
        getInitialData: () => ({ response }),
        onDragStart: () => setOver('held'),
        onDrop: () => setOver(undefined),
      }),
      dropTargetForElements({
        element: target.current,
        canDrop: ({ source }) => isResponse(source.data) && source.data.response !== response,
        getData: ({ input, element }) =>
          attachInstruction(
            { response },
            {
              input,
              element,
              axis: latest.current.sideways() ? 'horizontal' : 'vertical',
              operations: { 'reorder-before': 'available', 'reorder-after': 'available', combine: 'available' },
            },
          ),
        onDrag: ({ self }) => setOver(placeOf(self.data)),
        onDragLeave: () => setOver(undefined),
        onDrop({ self, source }) {
          setOver(undefined)
          const place = placeOf(self.data)
          if (place && isResponse(source.data)) latest.current.onDrop(source.data.response, response, place)
        },
      }),
    )
  }, [response, enabled, handle, target])
  return over
}

/** A place that takes a rank away from what is dropped there. @returns whether something hangs over it */
export const useUnrankZone = (zone: RefObject<HTMLElement | null>, onDrop: (response: number) => void): boolean => {
  const [over, setOver] = useState(false)
  const latest = useRef(onDrop)
  latest.current = onDrop
  useEffect(() => {
    if (!zone.current) return
    return dropTargetForElements({
      element: zone.current,
      canDrop: ({ source }) => isResponse(source.data),
      onDragEnter: () => setOver(true),
      onDragLeave: () => setOver(false),
      onDrop({ source }) {
        setOver(false)
        if (isResponse(source.data)) latest.current(source.data.response)
      },
    })
  }, [zone])
  return over
}
