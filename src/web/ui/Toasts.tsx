/** Short messages at the edge of the page: something was done, and perhaps how to undo it. */
import { Toast } from 'radix-ui'
import { createContext, type ReactNode, useContext, useMemo, useState } from 'react'

export type Message = { text: string; look?: 'plain' | 'error'; action?: { name: string; run(): void } }

const ToastContext = createContext<(message: Message) => void>(() => {})

export const useToast = () => useContext(ToastContext)

export const Toasts = ({ children }: { children: ReactNode }) => {
  const [shown, setShown] = useState<(Message & { id: number })[]>([])
  const show = useMemo(() => {
    let last = 0
    return (message: Message) => setShown((before) => [...before.slice(-2), { ...message, id: ++last }])
  }, [])
  return (
    <ToastContext value={show}>
      <Toast.Provider swipeDirection="right" duration={6000}>
        {children}
        {shown.map(({ id, text, look = 'plain', action }) => (
          <Toast.Root
            key={id}
            className={`toast ${look}`}
            onOpenChange={(open) => open || setShown((before) => before.filter((other) => other.id !== id))}
          >
            <Toast.Description>{text}</Toast.Description>
            {action && (
              <Toast.Action altText={action.name} asChild>
                <button type="button" className="button quiet" onClick={action.run}>
                  {action.name}
                </button>
              </Toast.Action>
            )}
          </Toast.Root>
        ))}
        <Toast.Viewport className="toasts" />
      </Toast.Provider>
    </ToastContext>
  )
}
