// The theme leaves the sidebar's logo outside all landmarks, where screen readers do not look for it.
document.addEventListener("DOMContentLoaded", () => {
  const logo = document.querySelector(".bd-sidebar-primary .navbar-brand")?.parentElement;
  logo?.setAttribute("role", "navigation");
  logo?.setAttribute("aria-label", "Home");
});
