/** A menu that opens from a button. */
import { DropdownMenu } from 'radix-ui'
import type { ReactNode } from 'react'
import './overlays.css'

type MenuProps = {
  /** The button: an element that takes a ref and props, such as Button or IconButton. */
  trigger: ReactNode
  /** MenuItems, MenuChoices and MenuSeparators. */
  children: ReactNode
  align?: 'start' | 'end'
}

export const Menu = ({ trigger, children, align = 'end' }: MenuProps) => (
  <DropdownMenu.Root modal={false}>
    <DropdownMenu.Trigger asChild>{trigger}</DropdownMenu.Trigger>
    <DropdownMenu.Portal>
      <DropdownMenu.Content className="menu" align={align} sideOffset={4} collisionPadding={8}>
        {children}
      </DropdownMenu.Content>
    </DropdownMenu.Portal>
  </DropdownMenu.Root>
)

type ItemProps = {
  children: ReactNode
  onSelect?(): void
  icon?: ReactNode
  /** Keys that do the same. */
  keys?: string
  danger?: boolean
  disabled?: boolean
}

export const MenuItem = ({ children, onSelect, icon, keys, danger = false, disabled = false }: ItemProps) => (
  <DropdownMenu.Item className={danger ? 'danger' : undefined} disabled={disabled} onSelect={onSelect}>
    {icon}
    <span>{children}</span>
    {keys && <kbd>{keys}</kbd>}
  </DropdownMenu.Item>
)

/** A link in a menu: a download, a page. @param download the file's name, for files */
export const MenuLink = ({ href, download, children }: { href: string; download?: string; children: ReactNode }) => (
  <DropdownMenu.Item asChild>
    <a href={href} download={download}>
      {children}
    </a>
  </DropdownMenu.Item>
)

/** An item that is on or off; the menu stays open. */
export const MenuChoice = (props: {
  children: ReactNode
  checked: boolean
  onCheckedChange(checked: boolean): void
}) => (
  <DropdownMenu.CheckboxItem
    checked={props.checked}
    onCheckedChange={props.onCheckedChange}
    onSelect={(event) => event.preventDefault()}
  >
    <span className="tick" aria-hidden />
    <span>{props.children}</span>
  </DropdownMenu.CheckboxItem>
)

export const MenuSeparator = () => <DropdownMenu.Separator className="separator" />
