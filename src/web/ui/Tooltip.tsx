/** A few words beside what the pointer or the focus is on. Nothing that one needs may stand only here. */
import { Tooltip as RadixTooltip } from 'radix-ui'
import type { ReactNode } from 'react'
import './overlays.css'

/** @param children one element that takes a ref and can have the focus */
export const Tooltip = ({ text, children }: { text: ReactNode; children: ReactNode }) => (
  <RadixTooltip.Provider delayDuration={300}>
    <RadixTooltip.Root>
      <RadixTooltip.Trigger asChild>{children}</RadixTooltip.Trigger>
      <RadixTooltip.Portal>
        <RadixTooltip.Content className="tooltip" sideOffset={4} collisionPadding={8}>
          {text}
        </RadixTooltip.Content>
      </RadixTooltip.Portal>
    </RadixTooltip.Root>
  </RadixTooltip.Provider>
)
