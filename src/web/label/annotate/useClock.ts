/** The active seconds of the task that is shown. */
import { useEffect, useRef } from 'react'
import { alive, elapsed, paused, started } from './timing.ts'

const signs = ['keydown', 'pointerdown', 'pointermove', 'wheel', 'scroll'] as const

/** @returns reads it */
export const useClock = (): (() => number) => {
  const clock = useRef(started(performance.now()))
  useEffect(() => {
    const live = () => {
      if (document.visibilityState === 'visible') clock.current = alive(clock.current, performance.now())
    }
    const turn = () => {
      if (document.visibilityState === 'hidden') clock.current = paused(clock.current, performance.now())
      else live()
    }
    for (const sign of signs) addEventListener(sign, live, { passive: true, capture: true })
    document.addEventListener('visibilitychange', turn)
    return () => {
      for (const sign of signs) removeEventListener(sign, live, { capture: true })
      document.removeEventListener('visibilitychange', turn)
    }
  }, [])
  return () => Math.round(elapsed(clock.current, performance.now()) / 100) / 10
}
