/** Ctrl-C and SIGTERM: the first asks the work to stop, the second ends the process as if it had not been caught. */
const signals = ['SIGINT', 'SIGTERM'] as const

/** Runs `work` under a signal; `onFirst` is told when it is asked to stop. */
export const interruptible = async <T>(work: (signal: AbortSignal) => Promise<T>, onFirst: () => void): Promise<T> => {
  const controller = new AbortController()
  const listeners = signals.map((name) => {
    const stop = () => {
      // process.exit would tear the engine's thread down amid its work, and crash
      if (controller.signal.aborted) endBy(name)
      controller.abort()
      onFirst()
    }
    process.on(name, stop)
    return [name, stop] as const
  })
  try {
    return await work(controller.signal)
  } finally {
    for (const [name, stop] of listeners) process.off(name, stop)
  }
}

const endBy = (name: NodeJS.Signals) => {
  process.removeAllListeners(name)
  process.kill(process.pid, name)
}
